// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

var errNoCredentials = errors.New("no credentials found in the environment, in a credentials file or from an identity of the cloud")

// DefaultCredentials takes the first of these that is there, in the order of the
// AWS SDKs: AWS_ACCESS_KEY_ID with its companions, a web identity token, the
// shared credentials file, a container endpoint, the instance's role. The choice
// is made once, by what is configured and not by what answers, so that an
// identity that is configured wrongly is reported and not passed over.
func DefaultCredentials(region string) *credentials.Credentials {
	identity := &credentials.IAM{Region: region, Client: &http.Client{Timeout: 10 * time.Second}}
	switch {
	case os.Getenv("AWS_ACCESS_KEY_ID") != "":
		return credentials.New(&credentials.EnvAWS{})
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return credentials.New(identity)
	case hasCredentialsFile():
		return credentials.New(&credentials.FileAWSCredentials{})
	default:
		return credentials.New(identity)
	}
}

func hasCredentialsFile() bool {
	path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return false
		}
		path = filepath.Join(home, ".aws", "credentials")
	}
	_, err := os.Stat(path)
	return err == nil
}

// StaticCredentials are a key pair and an optional session token.
func StaticCredentials(accessKey, secretKey, sessionToken string) *credentials.Credentials {
	return credentials.NewStaticV4(accessKey, secretKey, sessionToken)
}

// present fails before a request would go out unsigned: an anonymous request is
// answered with "access denied", which sends people looking for policies.
func present(creds *credentials.Credentials) error {
	value, err := creds.GetWithContext(nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	if value.AccessKeyID == "" || value.SecretAccessKey == "" {
		return errNoCredentials
	}
	return nil
}
