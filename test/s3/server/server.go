// SPDX-License-Identifier: Apache-2.0

// Package server runs an S3 server over a directory, for tests over the wire.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Region of every bucket of a server.
const Region = "eu-test-1"

// Keys of the two users: one may do everything, the other what bucket policies
// grant it.
const (
	RootAccess, RootSecret = "root-access", "root-secret-0123456789"
	UserAccess, UserSecret = "user-access", "user-secret-0123456789"
)

// Server is a running server. A process can have one at a time.
type Server struct {
	// URL such as http://127.0.0.1:41234.
	URL    string
	cancel context.CancelFunc
	ended  chan error
}

// Start serves the buckets that are directories in dir/buckets. address is
// host:port; port 0 is chosen by the system. It returns when the server answers.
func Start(dir, address string) (*Server, error) {
	return start(dir, address, "", "")
}

// StartTLS serves with a certificate and its key in PEM files.
func StartTLS(dir, address, certFile, keyFile string) (*Server, error) {
	return start(dir, address, certFile, keyFile)
}

func start(dir, address, certFile, keyFile string) (*Server, error) {
	address, err := freeAddress(address)
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for _, name := range []string{"buckets", "metadata", "accounts"} {
		folders[name] = filepath.Join(dir, name)
		if err := os.MkdirAll(folders[name], 0o755); err != nil {
			return nil, fmt.Errorf("start S3 server: %w", err)
		}
	}
	attributes, err := meta.NewSideCar(folders["metadata"])
	if err != nil {
		return nil, fmt.Errorf("start S3 server: %w", err)
	}
	disk, err := posix.New(folders["buckets"], attributes, posix.PosixOpts{SideCarDir: folders["metadata"], Concurrency: 64})
	if err != nil {
		return nil, fmt.Errorf("start S3 server: %w", err)
	}
	users, err := accounts(folders["accounts"])
	if err != nil {
		return nil, fmt.Errorf("start S3 server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{URL: "http://" + address, cancel: cancel, ended: make(chan error, 1)}
	if certFile != "" {
		s.URL = "https://" + address
	}
	go func() {
		s.ended <- embedgw.RunVersityGW(ctx, disk, &embedgw.Config{
			RootUserAccess: RootAccess, RootUserSecret: RootSecret, Region: Region, Ports: []string{address},
			IAMService: users, Quiet: true, KeepAlive: true, CertFile: certFile, KeyFile: keyFile,
			MaxConnections: 4096, MaxRequests: 2048, MultipartMaxParts: 10_000,
		})
	}()
	if err := s.await(address); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func accounts(dir string) (auth.IAMService, error) {
	users, err := auth.NewInternal(auth.Account{Access: RootAccess, Secret: RootSecret, Role: auth.RoleAdmin}, dir)
	if err != nil {
		return nil, err
	}
	err = users.CreateAccount(auth.Account{Access: UserAccess, Secret: UserSecret, Role: auth.RoleUser})
	if err != nil && !errors.Is(err, auth.ErrUserExists) {
		return nil, err
	}
	return users, nil
}

func freeAddress(address string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("start S3 server: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// await returns when the port is served.
func (s *Server) await(address string) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("start S3 server: it ended: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return connection.Close()
		}
	}
	return errors.New("start S3 server: it did not answer within 30 s")
}

// Stop ends the server and waits for it.
func (s *Server) Stop() error {
	s.cancel()
	err := <-s.ended
	// Idle connections of clients outlive the server's patience at its end.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
