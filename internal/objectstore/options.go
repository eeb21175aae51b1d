// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Encryption is how the store encrypts objects at rest.
type Encryption string

// Modes of encryption; the empty one leaves it to the bucket.
const (
	EncryptionBucketDefault Encryption = ""
	EncryptionSSES3         Encryption = "SSE-S3"
	EncryptionSSEKMS        Encryption = "SSE-KMS"
)

// awsEndpoint is where a client without an endpoint goes; minio's client puts
// the region into the host name itself.
const awsEndpoint = "https://s3.amazonaws.com"

// Options describe a bucket and how to reach it.
type Options struct {
	// Endpoint such as https://minio.example.com:9000. Empty: AWS.
	Endpoint string
	// Region of the bucket. It is required, since looking it up needs a right
	// that backups do not need otherwise.
	Region string
	Bucket string
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool
	// CAFile holds certificate authorities in PEM that are trusted besides the
	// system's.
	CAFile     string
	Encryption Encryption
	// KMSKeyID for SSE-KMS; empty means the account's default key.
	KMSKeyID string
	// StorageClass of new objects, such as STANDARD_IA. Empty: the bucket's.
	StorageClass string
	// Credentials of the requests. Nil: DefaultCredentials.
	Credentials *credentials.Credentials
	// Transport replaces the HTTP transport; used by tests to inject faults.
	Transport http.RoundTripper
	// Backoff of every call. Zero: DefaultBackoff.
	Backoff Backoff
	// Idle is the longest time in which not a single byte moves before a request
	// is given up and tried again. Zero: one minute.
	Idle time.Duration
	// PartSize in bytes above which an object is sent in parts of this size.
	// Zero: 64 MiB.
	PartSize int64
}

func (o Options) validate() error {
	if err := s3utils.CheckValidBucketName(o.Bucket); err != nil {
		return fmt.Errorf("bucket is %q: %w", o.Bucket, err)
	}
	if o.Region == "" {
		return errors.New("region is empty; the region of the bucket is required, such as us-west-2")
	}
	switch o.Encryption {
	case EncryptionBucketDefault, EncryptionSSES3, EncryptionSSEKMS:
	default:
		return fmt.Errorf("encryption is %q; allowed are SSE-S3, SSE-KMS and empty", o.Encryption)
	}
	if o.KMSKeyID != "" && o.Encryption != EncryptionSSEKMS {
		return fmt.Errorf("kms key id is set with encryption %q; it is only allowed with SSE-KMS", o.Encryption)
	}
	return nil
}

func (o Options) endpoint() (host string, secure bool, err error) {
	text := o.Endpoint
	if text == "" {
		text = awsEndpoint
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Path != "" && u.Path != "/") || u.User != nil {
		return "", false, fmt.Errorf("endpoint is %q; allowed is http:// or https:// with a host and an optional port", o.Endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}

func (o Options) serverSide() (encrypt.ServerSide, error) {
	switch o.Encryption {
	case EncryptionSSES3:
		return encrypt.NewSSE(), nil
	case EncryptionSSEKMS:
		return encrypt.NewSSEKMS(o.KMSKeyID, nil)
	default:
		return nil, nil
	}
}

func (o Options) transport(secure bool) (http.RoundTripper, error) {
	if o.Transport != nil {
		return o.Transport, nil
	}
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("set up the HTTP transport: %w", err)
	}
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = o.idle()
	if o.CAFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate authority file %s holds no certificate in PEM", o.CAFile)
	}
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.RootCAs = pool
	return transport, nil
}

func (o Options) idle() time.Duration {
	if o.Idle > 0 {
		return o.Idle
	}
	return time.Minute
}

func (o Options) partSize() int64 {
	if o.PartSize > 0 {
		return o.PartSize
	}
	return 64 << 20
}
