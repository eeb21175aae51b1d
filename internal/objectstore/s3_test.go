// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering is a store that answers every request by a function.
func answering(t *testing.T, answer http.HandlerFunc, change func(*Options)) *S3 {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	o := Options{
		Endpoint: server.URL, Region: "us-west-2", Bucket: "bucket", PathStyle: true,
		Credentials: StaticCredentials("key", "secret", ""),
		Backoff:     Backoff{Attempts: 3, First: time.Millisecond, Longest: time.Millisecond},
	}
	if change != nil {
		change(&o)
	}
	store, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the store</Message></Error>", code)
}

func TestCausesAreToldApart(t *testing.T) {
	for _, test := range []struct {
		status   int
		code     string
		kind     Kind
		says     string
		attempts int64
	}{
		{404, "NoSuchBucket", KindMissingBucket, "create the bucket", 1},
		{404, "NoSuchKey", KindNotFound, "NoSuchKey", 1},
		{400, "AuthorizationHeaderMalformed", KindWrongRegion, "set the region", 1},
		{301, "PermanentRedirect", KindWrongRegion, "set the region", 1},
		{403, "InvalidAccessKeyId", KindBadCredentials, "correct the access key", 1},
		{403, "SignatureDoesNotMatch", KindBadCredentials, "correct the access key", 1},
		{400, "ExpiredToken", KindExpiredToken, "renew the session token", 1},
		{403, "RequestTimeTooSkewed", KindClockSkew, "set the clock", 1},
		{403, "AccessDenied", KindAccessDenied, "allow s3:GetObject", 1},
		{503, "SlowDown", KindThrottled, "fewer requests", 3},
		{429, "TooManyRequests", KindThrottled, "fewer requests", 3},
		{500, "InternalError", KindServer, "problem of its own", 3},
		{418, "SomethingNew", KindOther, "SomethingNew, status 418: said the store", 1},
	} {
		t.Run(test.code, func(t *testing.T) {
			var requests atomic.Int64
			store := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				refuse(w, test.status, test.code)
			}, nil)
			_, _, err := store.Get(t.Context(), "k", Range{})
			if KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, %v; want %q that says %q", KindOf(err), err, test.kind, test.says)
			}
			if requests.Load() != test.attempts {
				t.Errorf("%d requests, want %d", requests.Load(), test.attempts)
			}
		})
	}
}

func TestRetriesEndWithTheContext(t *testing.T) {
	store := answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "SlowDown") }, func(o *Options) {
		o.Backoff = Backoff{Attempts: 1000, First: time.Hour, Longest: time.Hour}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := store.Head(ctx, "k")
	if !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != KindCanceled {
		t.Errorf("got %q, %v; want the caller's deadline", KindOf(err), err)
	}
}

func TestObjectThatIsReplacedWhileReadIsNotMixed(t *testing.T) {
	var requests atomic.Int64
	store := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
		if requests.Add(1) > 1 {
			if r.Header.Get("If-Match") != `"first"` {
				t.Errorf("the rest was asked for with If-Match %q, want that of the first answer", r.Header.Get("If-Match"))
			}
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		w.Header().Set("ETag", `"first"`)
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "01234") // and the connection breaks
	}, nil)
	body, _, err := store.Get(t.Context(), "k", Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if string(content) != "01234" || KindOf(err) != KindChanged {
		t.Errorf("read %q and %v, want the first half and KindChanged", content, err)
	}
}

func TestObjectsCarryEncryptionAndStorageClass(t *testing.T) {
	for _, test := range []struct {
		change func(*Options)
		want   map[string]string
	}{
		{nil, map[string]string{"X-Amz-Server-Side-Encryption": "", "X-Amz-Storage-Class": ""}},
		{func(o *Options) { o.Encryption, o.StorageClass = EncryptionSSES3, "STANDARD_IA" },
			map[string]string{"X-Amz-Server-Side-Encryption": "AES256", "X-Amz-Storage-Class": "STANDARD_IA"}},
		{func(o *Options) { o.Encryption, o.KMSKeyID = EncryptionSSEKMS, "key-1" },
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1"}},
	} {
		var got http.Header
		store := answering(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }, test.change)
		if _, err := store.Put(t.Context(), "k", strings.NewReader("abc"), 3, PutOptions{}); err != nil {
			t.Fatal(err)
		}
		for header, want := range test.want {
			if got.Get(header) != want {
				t.Errorf("%s is %q, want %q", header, got.Get(header), want)
			}
		}
		if got.Get("X-Amz-Content-Sha256") != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
			t.Errorf("signed hash is %q, want that of abc", got.Get("X-Amz-Content-Sha256"))
		}
	}
}

func TestCertificateAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Endpoint: server.URL, Region: "r", Bucket: "bucket", PathStyle: true, Credentials: StaticCredentials("k", "s", ""),
		Backoff: Backoff{Attempts: 1}}
	head := func(o Options) error {
		store, err := Open(o)
		if err != nil {
			return err
		}
		_, err = store.Head(t.Context(), "k")
		return err
	}
	if err := head(o); KindOf(err) != KindCertificate {
		t.Errorf("without the authority: %q, %v; want KindCertificate", KindOf(err), err)
	}
	o.CAFile = caFile
	if err := head(o); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	o.CAFile = filepath.Join(t.TempDir(), "none")
	if err := head(o); err == nil || !strings.Contains(err.Error(), "read the certificate authority") {
		t.Errorf("with a file that is not there: %v", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Region: "us-west-2", Bucket: "bucket"}
	for want, change := range map[string]func(*Options){
		`bucket is "A"`:               func(o *Options) { o.Bucket = "A" },
		"region is empty":             func(o *Options) { o.Region = "" },
		`endpoint is "minio:90"`:      func(o *Options) { o.Endpoint = "minio:90" },
		`endpoint is "https://u:p@h"`: func(o *Options) { o.Endpoint = "https://u:p@h" },
		`encryption is "none"`:        func(o *Options) { o.Encryption = "none" },
		"only allowed with SSE-KMS":   func(o *Options) { o.KMSKeyID = "k" },
		"holds no certificate in PEM": func(o *Options) { o.CAFile = "s3_test.go" },
	} {
		o := good
		change(&o)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want it to say %q", err, want)
		}
	}
	if _, err := Open(good); err != nil {
		t.Errorf("AWS without an endpoint was refused: %v", err)
	}
}

func TestWebIdentityThatFailsIsNotPassedOver(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(t.TempDir(), "missing-token"))
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
	store := answering(t, func(_ http.ResponseWriter, _ *http.Request) { t.Error("an unsigned request was sent") },
		func(o *Options) { o.Credentials = nil })
	_, err := store.Head(t.Context(), "k")
	if KindOf(err) != KindNoCredentials || !strings.Contains(err.Error(), "missing-token") {
		t.Errorf("got %q, %v; want KindNoCredentials that names the token file", KindOf(err), err)
	}
}

func TestCredentialsFromTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	var authorization, token string
	store := answering(t, func(w http.ResponseWriter, r *http.Request) {
		authorization, token = r.Header.Get("Authorization"), r.Header.Get("X-Amz-Security-Token")
		w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
	}, func(o *Options) { o.Credentials = nil })
	if _, err := store.Head(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(authorization, "Credential=from-environment/") || token != "token" {
		t.Errorf("signed by %q with token %q", authorization, token)
	}
}
