// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// Kind tells the causes apart that need different reactions.
type Kind string

// Kinds of failure.
const (
	KindNotFound       Kind = "NotFound"
	KindExists         Kind = "Exists"
	KindChanged        Kind = "Changed"
	KindMissingBucket  Kind = "MissingBucket"
	KindWrongRegion    Kind = "WrongRegion"
	KindNoCredentials  Kind = "NoCredentials"
	KindBadCredentials Kind = "BadCredentials"
	KindExpiredToken   Kind = "ExpiredToken"
	KindClockSkew      Kind = "ClockSkew"
	KindAccessDenied   Kind = "AccessDenied"
	KindThrottled      Kind = "Throttled"
	KindNetwork        Kind = "Network"
	KindCertificate    Kind = "Certificate"
	KindServer         Kind = "Server"
	KindCorrupted      Kind = "Corrupted"
	KindCanceled       Kind = "Canceled"
	KindOther          Kind = "Other"
)

// Error is the only error type that a Store returns.
type Error struct {
	Kind Kind
	// Action is the S3 permission that the operation needs, such as
	// s3:PutObject.
	Action string
	Bucket string
	// Key or prefix; empty for operations on the bucket.
	Key string
	Err error
}

func (e *Error) Error() string {
	where := e.Bucket
	if e.Key != "" {
		where += "/" + e.Key
	}
	message := fmt.Sprintf("%s on %s: %s", e.Action, where, e.cause())
	if advice := e.Advice(); advice != "" {
		message += " (" + advice + ")"
	}
	return message
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) cause() string {
	if response, ok := errors.AsType[minio.ErrorResponse](e.Err); ok && response.Code != "" {
		return fmt.Sprintf("%s, status %d: %s", response.Code, response.StatusCode, response.Message)
	}
	return e.Err.Error()
}

// advice says for each kind what a person can do about it. Kinds that are
// answers rather than faults have none.
var advice = map[Kind]string{
	KindMissingBucket:  "create the bucket or correct its name",
	KindWrongRegion:    "set the region in which the bucket was created",
	KindNoCredentials:  "give the pod credentials: a mounted Secret, or a service account with an identity of the cloud",
	KindBadCredentials: "correct the access key and the secret key; the store does not accept this pair",
	KindExpiredToken:   "renew the session token; with a workload identity, check that the token volume is refreshed",
	KindClockSkew:      "set the clock of the node: it is too far from the store's",
	KindThrottled:      "the store asks for fewer requests; lower the concurrency or try again later",
	KindNetwork:        "check the endpoint, name resolution, proxies and network policies",
	KindCertificate:    "give the certificate authority of the store, or correct the endpoint's host name",
	KindServer:         "the store has a problem of its own; see its logs",
	KindCorrupted:      "the store returned other bytes than were written",
	KindChanged:        "the object was overwritten while it was read",
}

// Advice says what to do about the error; empty when there is nothing to do.
func (e *Error) Advice() string {
	if e.Kind == KindAccessDenied {
		return "allow " + e.Action + " on it for these credentials"
	}
	return advice[e.Kind]
}

// KindOf returns the kind of an error of this package, KindOther for any other
// error and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindOther
}

// kindOfCode holds the codes of the S3 API, including those that S3-compatible
// stores are known to send instead.
var kindOfCode = map[string]Kind{
	"NoSuchKey":                          KindNotFound,
	"NoSuchObject":                       KindNotFound,
	"NoSuchBucket":                       KindMissingBucket,
	"PreconditionFailed":                 KindExists,
	"ConditionalRequestConflict":         KindExists,
	"AuthorizationHeaderMalformed":       KindWrongRegion,
	"PermanentRedirect":                  KindWrongRegion,
	"TemporaryRedirect":                  KindWrongRegion,
	"IllegalLocationConstraintException": KindWrongRegion,
	"InvalidRegion":                      KindWrongRegion,
	"IncorrectEndpoint":                  KindWrongRegion,
	"InvalidAccessKeyId":                 KindBadCredentials,
	"InvalidAccessKey":                   KindBadCredentials,
	"SignatureDoesNotMatch":              KindBadCredentials,
	"InvalidClientTokenId":               KindBadCredentials,
	"InvalidSecurity":                    KindBadCredentials,
	"ExpiredToken":                       KindExpiredToken,
	"ExpiredTokenException":              KindExpiredToken,
	"TokenRefreshRequired":               KindExpiredToken,
	"InvalidToken":                       KindExpiredToken,
	"RequestTimeTooSkewed":               KindClockSkew,
	"RequestExpired":                     KindClockSkew,
	"AccessDenied":                       KindAccessDenied,
	"AllAccessDisabled":                  KindAccessDenied,
	"AccountProblem":                     KindAccessDenied,
	"KMS.DisabledException":              KindAccessDenied,
	"KMS.NotFoundException":              KindAccessDenied,
	"SlowDown":                           KindThrottled,
	"SlowDownRead":                       KindThrottled,
	"SlowDownWrite":                      KindThrottled,
	"Throttling":                         KindThrottled,
	"ThrottlingException":                KindThrottled,
	"RequestLimitExceeded":               KindThrottled,
	"RequestThrottled":                   KindThrottled,
	"TooManyRequests":                    KindThrottled,
	"RequestTimeout":                     KindNetwork,
	"IncompleteBody":                     KindNetwork,
	"InternalError":                      KindServer,
	"ServiceUnavailable":                 KindServer,
	"BadDigest":                          KindCorrupted,
	"XAmzContentSHA256Mismatch":          KindCorrupted,
	"XAmzContentChecksumMismatch":        KindCorrupted,
	"InvalidDigest":                      KindCorrupted,
	"AccessKeyNotFound":                  KindBadCredentials,
	"UserAccessKeyNotFound":              KindBadCredentials,
	"RequestTimeTooSkewedException":      KindClockSkew,
	"XMinioServerNotInitialized":         KindServer,
	"XMinioStorageFull":                  KindServer,
	"QuotaExceeded":                      KindServer,
}

var kindOfStatus = map[int]Kind{
	http.StatusMovedPermanently:    KindWrongRegion,
	http.StatusTemporaryRedirect:   KindWrongRegion,
	http.StatusUnauthorized:        KindBadCredentials,
	http.StatusForbidden:           KindAccessDenied,
	http.StatusNotFound:            KindNotFound,
	http.StatusRequestTimeout:      KindNetwork,
	http.StatusPreconditionFailed:  KindExists,
	http.StatusTooManyRequests:     KindThrottled,
	http.StatusInternalServerError: KindServer,
	http.StatusBadGateway:          KindServer,
	http.StatusServiceUnavailable:  KindThrottled,
	http.StatusGatewayTimeout:      KindServer,
}

// classify finds the kind of an error of the client library.
func classify(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, errEnded) || errors.Is(err, context.Canceled) {
		return KindCanceled
	}
	if errors.Is(err, errNoCredentials) {
		return KindNoCredentials
	}
	if response, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return classifyResponse(response)
	}
	return classifyTransport(err)
}

func classifyResponse(response minio.ErrorResponse) Kind {
	// Minio's client makes up a code for answers without a body, such as those
	// to HEAD; then only the status can be trusted.
	if kind, ok := kindOfCode[response.Code]; ok {
		return kind
	}
	if kind, ok := kindOfStatus[response.StatusCode]; ok {
		return kind
	}
	return KindOther
}

func classifyTransport(err error) Kind {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return KindCertificate
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return KindCertificate
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return KindCertificate
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return KindNetwork
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return KindNetwork
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "connection") {
		return KindNetwork
	}
	return KindOther
}

// passes tells whether a later attempt can succeed without anybody's help.
func (k Kind) passes() bool {
	switch k {
	case KindThrottled, KindNetwork, KindServer, KindCorrupted:
		return true
	default:
		return false
	}
}
