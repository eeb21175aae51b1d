// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// forbidden says what a folder's code must not import. The pure packages know no
// client, no clock of their own and no logger; imports go one way.
var forbidden = map[string][]string{
	"reconcile/desired":     {"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "os", "log", "sparkpipeline.dev/operator/internal/controller", "sparkpipeline.dev/operator/internal/reconcile/apply", "sparkpipeline.dev/operator/internal/reconcile/observe"},
	"reconcile/application": {"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "os", "log"},
	"reconcile/status":      {"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "os", "log"},
	"reconcile/apply":       {"sparkpipeline.dev/operator/internal/reconcile/desired", "sparkpipeline.dev/operator/internal/reconcile/observe", "sparkpipeline.dev/operator/internal/controller"},
	"reconcile/observe":     {"sparkpipeline.dev/operator/internal/reconcile/apply", "sparkpipeline.dev/operator/internal/controller"},
	"checkpoint":            {"k8s.io/", "sigs.k8s.io/"},
	"backup":                {"k8s.io/", "sigs.k8s.io/"},
	"watch":                 {"k8s.io/", "sigs.k8s.io/", "os", "log", "net"},
}

func TestImportsGoOneWay(t *testing.T) {
	for folder, banned := range forbidden {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				for _, b := range banned {
					if name == b || strings.HasPrefix(name, strings.TrimSuffix(b, "/")+"/") {
						t.Errorf("%s imports %s, which packages under %s must not", path, name, folder)
					}
				}
			}
			return nil
		})
		if err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Fatal(err)
		}
	}
}
