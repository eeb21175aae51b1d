// SPDX-License-Identifier: Apache-2.0

package desired

import (
	corev1 "k8s.io/api/core/v1"

	"sparkpipeline.dev/operator/api/v1alpha1"
)

// keyStorePassword is the key, in the pipeline's Secret, of the password of key
// store and trust store.
const keyStorePassword = "keystore-password"

// SecretKeys are the keys of the pipeline's Secret. The operator fills them with
// random values when it posts the Secret, and never reads it.
func SecretKeys() []string { return []string{keyStorePassword} }

func secretName(p *v1alpha1.SparkPipeline) string { return p.Name + "-spark" }

// secret holds the passwords that Spark's key stores need.
func secret(in Input) ([]Object, error) {
	return []Object{&corev1.Secret{ObjectMeta: named(in, "spark"), Type: corev1.SecretTypeOpaque}}, nil
}
