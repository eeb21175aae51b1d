// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// optionalAPI is where a module ships the CRDs of an API that pipelines use
// where it is installed.
type optionalAPI struct {
	name, module, version string
	files                 []string
}

// optionalAPIs are all but kubeflow's, whose CRD comes with the stand-in. Only
// the CRDs are real here: nothing acts on them.
var optionalAPIs = []optionalAPI{
	{"prometheus-operator", "github.com/prometheus-operator/prometheus-operator", "v0.85.0", []string{
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_alertmanagerconfigs.yaml",
	}},
	{"volume snapshots", "github.com/kubernetes-csi/external-snapshotter/client/v8", "v8.7.0", []string{
		"config/crd/snapshot.storage.k8s.io_volumesnapshots.yaml",
		"config/crd/snapshot.storage.k8s.io_volumesnapshotclasses.yaml",
		"config/crd/snapshot.storage.k8s.io_volumesnapshotcontents.yaml",
	}},
	{"vertical pod autoscaler", "k8s.io/autoscaler/vertical-pod-autoscaler", "v1.8.1", []string{"deploy/vpa-v1-crd-gen.yaml"}},
	{"velero", "github.com/vmware-tanzu/velero", "v1.18.3", []string{"config/crd/v1/bases/velero.io_schedules.yaml"}},
}

// InstallOptionalAPIs installs the CRDs of optional APIs from the modules that
// ship them.
func (w *World) InstallOptionalAPIs(ctx context.Context) error {
	args := []string{"apply", "--server-side"}
	for _, api := range optionalAPIs {
		dir, err := moduleDir(ctx, api.module+"@"+api.version)
		if err != nil {
			return fmt.Errorf("CRDs of %s: %w", api.name, err)
		}
		for _, f := range api.files {
			args = append(args, "-f", filepath.Join(dir, f))
		}
	}
	if _, err := w.Kubectl(ctx, args...); err != nil {
		return err
	}
	if _, err := w.Kubectl(ctx, "create", "namespace", "velero"); err != nil {
		return err
	}
	_, err := w.Kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	return err
}

// moduleDir is where a module lies, downloaded if need be.
func moduleDir(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download module %s: %w", module, err)
	}
	var answer struct{ Dir, Error string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return "", fmt.Errorf("download module %s: %w", module, err)
	}
	if answer.Error != "" {
		return "", fmt.Errorf("download module %s: %s", module, strings.TrimSpace(answer.Error))
	}
	return answer.Dir, nil
}
