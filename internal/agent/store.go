// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"sparkpipeline.dev/operator/internal/agent/config"
	"sparkpipeline.dev/operator/internal/objectstore"
)

// storeFlags say how to reach a bucket. What is not given comes from the
// configuration. There is no flag for credentials: arguments are seen by
// everybody on the machine.
type storeFlags struct {
	set *pflag.FlagSet

	bucket, prefix, endpoint, region, caFile string
	encryption, kmsKeyID, storageClass       string
	pathStyle                                bool
}

func (f *storeFlags) add(flags *pflag.FlagSet) {
	f.set = flags
	flags.StringVar(&f.bucket, "bucket", "", "bucket to work in")
	flags.StringVar(&f.prefix, "prefix", "", "prefix in the bucket")
	flags.StringVar(&f.endpoint, "endpoint", "", "address of an S3-compatible store, such as https://minio.example.com:9000 (default AWS)")
	flags.StringVar(&f.region, "region", "", "region of the bucket (default $AWS_REGION)")
	flags.BoolVar(&f.pathStyle, "path-style", false, "put the bucket into the path instead of the host name")
	flags.StringVar(&f.caFile, "ca-file", "", "certificate authority of the store, in PEM (default $AWS_CA_BUNDLE)")
}

// addWriting adds what only writers of objects need.
func (f *storeFlags) addWriting(flags *pflag.FlagSet) {
	flags.StringVar(&f.encryption, "encryption", "", "encryption at rest: SSE-S3 or SSE-KMS (default what the bucket does)")
	flags.StringVar(&f.kmsKeyID, "kms-key-id", "", "key for SSE-KMS (default the account's)")
}

func (f *storeFlags) changed(name string) bool { return f.set != nil && f.set.Changed(name) }

// options of a bucket: flags, then configuration, then environment.
func (f *storeFlags) options(c *config.Config, bucket string) objectstore.Options {
	o := objectstore.Options{
		Bucket: bucket, Endpoint: f.endpoint, Region: f.region, PathStyle: f.pathStyle, CAFile: f.caFile,
		Encryption: objectstore.Encryption(f.encryption), KMSKeyID: f.kmsKeyID, StorageClass: f.storageClass,
	}
	if c != nil {
		f.fill(&o, c)
	}
	o.Region = first(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	o.CAFile = first(o.CAFile, os.Getenv("AWS_CA_BUNDLE"))
	return o
}

// fill takes from the configuration what no flag says. A flag for the endpoint
// means another store, of which the configuration knows nothing else.
func (f *storeFlags) fill(o *objectstore.Options, c *config.Config) {
	from := c.ObjectStore
	o.Region = first(o.Region, from.Region)
	if !f.changed("endpoint") {
		o.Endpoint = from.Endpoint
		o.PathStyle = o.PathStyle || from.PathStyle && !f.changed("path-style")
		if o.CAFile == "" && from.CASecret != nil {
			o.CAFile = config.CAFile
		}
	}
	if o.Encryption == "" {
		o.Encryption, o.KMSKeyID = objectstore.Encryption(from.Encryption.Mode), from.Encryption.KMSKeyID
	}
}

// backups returns the bucket and the prefix of the recovery points.
func (f *storeFlags) backups(c *config.Config) (bucket, prefix string, err error) {
	bucket, prefix = f.bucket, f.prefix
	if c != nil {
		bucket = first(bucket, string(c.ObjectStore.Buckets.Backups))
		if !f.changed("prefix") {
			prefix = c.BackupPrefix
		}
	}
	if bucket == "" {
		return "", "", usage("no bucket is given; set --bucket, or objectStore.buckets.backups in the file of --config")
	}
	return bucket, strings.Trim(prefix, "/"), nil
}

// connect opens a bucket. A mistake in the options is one of usage.
func (a *agent) connect(o objectstore.Options) (objectstore.Store, error) {
	store, err := a.open(o)
	return store, withCode(CodeUsage, err)
}

// first returns the first of the values that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
