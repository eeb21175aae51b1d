// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"sparkpipeline.dev/operator/internal/backup"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// What the child process of TestRestoreToAFullDisk is told.
const (
	fullDiskTarget = "TEST_FULL_DISK_TARGET"
	fullDiskURL    = "TEST_FULL_DISK_URL"
	fullDiskBucket = "TEST_FULL_DISK_BUCKET"
	fullDiskPoint  = "TEST_FULL_DISK_POINT"
)

// The disk is a file system in memory of 1 MiB, in a mount namespace of a child
// process, so that no privilege is needed and nothing is left.
func TestRestoreToAFullDisk(t *testing.T) {
	name := bucket(t)
	repo := repository(t, connect(t, options(name)))
	m, err := repo.Backup(t.Context(), backup.BackupOptions{Holder: owner, Plan: whole(tree(t, sample()))})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), fullDiskTarget+"="+t.TempDir(), fullDiskURL+"="+running.URL,
		fullDiskBucket+"="+name, fullDiskPoint+"="+m.ID)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("the child ended with %v: %s", err, output)
	}
	if !strings.Contains(string(output), "no space left on device") || !strings.Contains(string(output), "record says Incomplete") {
		t.Errorf("the child says %q; want that there is no space left and an incomplete record", output)
	}
}

func restoreToFullDisk() int {
	target := os.Getenv(fullDiskTarget)
	if err := syscall.Mount("tmpfs", target, "tmpfs", 0, "size=1m"); err != nil {
		fmt.Println("mount:", err)
		return 1
	}
	o := optionsAt(os.Getenv(fullDiskURL), os.Getenv(fullDiskBucket))
	store, err := objectstore.Open(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	repo, err := backup.Open(store, backup.Options{Prefix: "backups/clicks", Owner: owner.UID})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, err = repo.Restore(context.Background(), backup.RestoreOptions{Point: os.Getenv(fullDiskPoint), Target: target})
	fmt.Println(err)
	record, err := backup.ReadRestoreRecord(context.Background(), nil, target)
	if err != nil || record == nil {
		fmt.Println("no record:", err)
		return 1
	}
	fmt.Println("record says", record.State)
	return 0
}
