// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Kind says what is wrong, in one word.
type Kind string

// Kinds of errors: nothing is known of any topic.
const (
	// Setup: the options, or the files that they name.
	Setup Kind = "Setup"
	// Unreachable: no connection, or no answer in time.
	Unreachable Kind = "Unreachable"
	// Credentials: the brokers want others, or some at all.
	Credentials Kind = "Credentials"
	// Certificate: one side does not accept the other's certificate, or only one
	// side speaks TLS.
	Certificate Kind = "Certificate"
)

// Kinds of problems with one topic.
const (
	// TopicGone: the brokers do not know the topic.
	TopicGone Kind = "TopicGone"
	// NotAuthorized: the right Describe on the topic is missing. Brokers say the same
	// of a topic that does not exist to those who may not know.
	NotAuthorized Kind = "NotAuthorized"
	// NotAnswered: a part of the answer is missing, such as of a partition that has
	// no leader.
	NotAnswered Kind = "NotAnswered"
)

// Error says why the brokers could not be asked, and what to do. It holds no secret.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string {
	hint := hints[e.Kind]
	if hint == "" {
		return "ask Kafka: " + e.Err.Error()
	}
	return "ask Kafka: " + e.Err.Error() + "; " + hint
}

func (e *Error) Unwrap() error { return e.Err }

var hints = map[Kind]string{
	Unreachable: "see that a broker runs there, that its advertised address can be resolved and reached from here, and that network policies let this pod out to it",
	Credentials: "correct mechanism, username and password in the Secret of sources.kafka.saslSecret",
	Certificate: "see whether the brokers' port speaks TLS, and correct sources.kafka.tls",
}

// KindOf an error of this package; empty: it is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// explain finds out what an error of the client means.
func (c *Client) explain(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	where := strings.Join(c.options.Brokers, ",")
	switch {
	case isAny(err, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState):
		return &Error{Credentials, fmt.Errorf("%s do not accept the credentials: %w", where, err)}
	case isAny(err, kerr.ClusterAuthorizationFailed):
		return &Error{Credentials, fmt.Errorf("%s do not let this user in: %w", where, err)}
	case c.options.SASL != nil && errors.Is(err, io.EOF):
		return &Error{Credentials, fmt.Errorf("%s end the connection while they look at the credentials, as old brokers do that do not accept them: %w", where, err)}
	case c.options.TLS != nil && isRefused(err):
		// Its refusal comes with the first answer, after our side of the handshake.
		return &Error{Certificate, fmt.Errorf("%s do not accept the client's certificate: %w", where, err)}
	case c.options.TLS != nil && errors.Is(err, io.EOF):
		return &Error{Credentials, fmt.Errorf("%s end the connection at once, as brokers do that want credentials: %w", where, err)}
	case errors.Is(err, io.EOF):
		return &Error{Certificate, fmt.Errorf("%s end the connection at once, as brokers do that want TLS or credentials: %w", where, err)}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Unreachable, fmt.Errorf("%s did not answer within %s", where, c.options.Timeout)}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &Error{Unreachable, fmt.Errorf("%s: %w", where, err)}
}

func isAny(err error, those ...error) bool {
	for _, that := range those {
		if errors.Is(err, that) {
			return true
		}
	}
	return false
}

// isRefused: the other side has sent an alert of TLS.
func isRefused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
