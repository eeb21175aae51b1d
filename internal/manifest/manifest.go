// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// Load reads the manifest of one SparkPipeline from a file: Parse on its content.
func Load(path string) (*v1alpha1.SparkPipeline, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Parse returns what an API server would store for the manifest of one
// SparkPipeline in YAML or JSON, all defaults set, or the error that
// `kubectl create` would show: unknown or duplicate fields, schema, rules. A
// status in the manifest is kept.
func Parse(data []byte) (*v1alpha1.SparkPipeline, error) {
	object, err := accept(data)
	if err != nil {
		return nil, err
	}
	s, err := pipelineSchema()
	if err != nil {
		return nil, err
	}
	if err := s.validate(object, nil); err != nil {
		return nil, err
	}
	return typed(object)
}

// Decode is Parse without judgement: it sets defaults, drops unknown fields and
// returns their paths, and leaves values that the schema would refuse. It fails
// on what is no SparkPipeline at all.
func Decode(data []byte) (p *v1alpha1.SparkPipeline, unknown []string, err error) {
	object, unknown, err := read(data)
	if err != nil {
		return nil, nil, err
	}
	p, err = typed(object)
	return p, unknown, err
}

// ValidateUpdate says why an API server would refuse to replace the object of
// the first manifest by that of the second; nil when it would not.
func ValidateUpdate(from, to []byte) error {
	old, _, err := read(from)
	if err != nil {
		return fmt.Errorf("the old manifest: %w", err)
	}
	object, err := accept(to)
	if err != nil {
		return err
	}
	s, err := pipelineSchema()
	if err != nil {
		return err
	}
	return s.validate(object, old)
}

// accept is read for a manifest that must have no unknown fields.
func accept(data []byte) (map[string]any, error) {
	object, unknown, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("unknown fields: %s; kubectl explain sparkpipeline.spec lists those that there are", strings.Join(unknown, ", "))
	}
	return object, nil
}

// read returns the one object in data, complete, and its unknown fields.
func read(data []byte) (map[string]any, []string, error) {
	document, err := single(data)
	if err != nil {
		return nil, nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, nil, fmt.Errorf("the manifest is not YAML: %w", err)
	}
	var object map[string]any
	if err := utiljson.Unmarshal(asJSON, &object); err != nil {
		return nil, nil, fmt.Errorf("the manifest is not an object: %w", err)
	}
	if err := identify(object); err != nil {
		return nil, nil, err
	}
	s, err := pipelineSchema()
	if err != nil {
		return nil, nil, err
	}
	return object, s.complete(object), nil
}

// identify refuses an object that is of another kind or has no usable name.
func identify(object map[string]any) error {
	if got, want := object["apiVersion"], v1alpha1.GroupVersion.String(); got != want {
		return fmt.Errorf("apiVersion is %q; %q is allowed", fmt.Sprint(got), want)
	}
	if got := object["kind"]; got != "SparkPipeline" {
		return fmt.Errorf("kind is %q; %q is allowed", fmt.Sprint(got), "SparkPipeline")
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if problems := metavalidation.NameIsDNSSubdomain(name, false); len(problems) > 0 {
		return fmt.Errorf("metadata.name is %q: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

// single returns the only document in data that is not empty.
func single(data []byte) ([]byte, error) {
	// The reader loses a last line without an end that fills its buffer exactly.
	ended := append(bytes.Clone(data), '\n')
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(ended)))
	var found []byte
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("splitting the manifest into documents: %w", err)
		}
		var content any
		if err := yaml.Unmarshal(document, &content); err == nil && content == nil {
			continue
		}
		if found != nil {
			return nil, errors.New("the manifest holds more than one document; one SparkPipeline is allowed")
		}
		found = document
	}
	if found == nil {
		return nil, errors.New("the manifest is empty; one SparkPipeline is allowed")
	}
	return found, nil
}

func typed(object map[string]any) (*v1alpha1.SparkPipeline, error) {
	p := new(v1alpha1.SparkPipeline)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, p); err != nil {
		return nil, fmt.Errorf("the manifest does not fit the types of the API: %w", err)
	}
	return p, nil
}
