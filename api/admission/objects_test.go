// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// pipeline reads a manifest of testdata and merges patches in YAML into it; null
// removes.
func pipeline(file string, patches ...string) *unstructured.Unstructured {
	GinkgoHelper()
	document, err := os.ReadFile("testdata/" + file)
	Expect(err).NotTo(HaveOccurred())
	document, err = yaml.YAMLToJSONStrict(document)
	Expect(err).NotTo(HaveOccurred())
	for _, patch := range patches {
		if patch == "" {
			continue
		}
		asJSON, err := yaml.YAMLToJSONStrict([]byte(patch))
		Expect(err).NotTo(HaveOccurred(), patch)
		document, err = jsonpatch.MergePatch(document, asJSON)
		Expect(err).NotTo(HaveOccurred(), patch)
	}
	object := new(unstructured.Unstructured)
	Expect(object.UnmarshalJSON(document)).To(Succeed())
	return object
}

// create asks the server whether it would accept a new object.
func create(object *unstructured.Unstructured) error {
	return server.Create(context.Background(), object.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict"))
}

var element = regexp.MustCompile(`^(.*)\[(\d+)\]$`)

// set puts a value at a path such as spec.checkpoint.queries[0].name, whose
// parents exist. Below a map, the rest of the path is a key.
func set(object map[string]any, path string, value any) {
	GinkgoHelper()
	head, rest, deeper := strings.Cut(path, ".")
	name, index := head, -1
	if m := element.FindStringSubmatch(head); m != nil {
		name = m[1]
		index, _ = strconv.Atoi(m[2])
	}
	if !deeper && index < 0 {
		object[name] = plain(value)
		return
	}
	if index < 0 {
		parent, ok := object[name].(map[string]any)
		Expect(ok).To(BeTrue(), "%s has no parent in the manifest", path)
		if isLeafMap(name) {
			parent[rest] = plain(value)
			return
		}
		set(parent, rest, value)
		return
	}
	list, ok := object[name].([]any)
	Expect(ok && index < len(list)).To(BeTrue(), "%s has no parent in the manifest", path)
	if !deeper {
		list[index] = plain(value)
		return
	}
	set(list[index].(map[string]any), rest, value)
}

// isLeafMap tells the fields whose keys are the user's own.
func isLeafMap(name string) bool {
	return name == "sparkConf" || name == "labels" || name == "annotations"
}

// plain is a value as JSON has it.
func plain(value any) any {
	GinkgoHelper()
	data, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	var out any
	Expect(json.Unmarshal(data, &out)).To(Succeed())
	if number, ok := out.(float64); ok {
		return int64(number)
	}
	return out
}

// found is how a value stands in a message of the API server.
func found(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}
