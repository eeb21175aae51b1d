// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sparkpipeline.dev/operator/api/v1alpha1"
	"sparkpipeline.dev/operator/internal/reconcile/apply"
	"sparkpipeline.dev/operator/internal/reconcile/desired"
	"sparkpipeline.dev/operator/internal/reconcile/status"
)

// refusedError says that the operator will not build a pipeline, whatever its
// spec, because of what is around it.
type refusedError struct {
	reason  string
	message string
}

func (e *refusedError) Error() string { return e.message }

// explain is the only place where an error becomes a reason. nil for no error.
func explain(err error) *status.Failure {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*desired.InvalidError](err); ok {
		return &status.Failure{Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonInvalidSpec, Message: e.Error(), Final: true}
	}
	if e, ok := errors.AsType[*refusedError](err); ok {
		return &status.Failure{Condition: v1alpha1.ConditionAccepted, Reason: e.reason, Message: e.message}
	}
	if e, ok := errors.AsType[*apply.NotOwnedError](err); ok {
		return &status.Failure{Condition: v1alpha1.ConditionApplied, Reason: v1alpha1.ReasonNotOwned, Message: e.Error()}
	}
	f := &status.Failure{Condition: v1alpha1.ConditionApplied, Reason: v1alpha1.ReasonRetrying, Message: stable(err)}
	switch {
	case quotaExceeded(err):
		f.Reason = v1alpha1.ReasonQuotaExceeded
	case anyError(err, apierrors.IsInvalid), anyError(err, apierrors.IsForbidden), anyError(err, apierrors.IsBadRequest):
		f.Reason = v1alpha1.ReasonRejected
	}
	return f
}

// final keeps the queue from retrying what only an edit can mend.
func final(err error, f *status.Failure) error {
	if f != nil && f.Final {
		return reconcile.TerminalError(err)
	}
	return err
}

// quotaExceeded tells a quota's refusal from other ones. The API server marks it
// in the message alone: it is Forbidden like a missing right.
func quotaExceeded(err error) bool {
	return anyError(err, func(err error) bool {
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota")
	})
}

// anyError looks through wrapped and joined errors.
func anyError(err error, is func(error) bool) bool {
	if err == nil {
		return false
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if anyError(e, is) {
				return true
			}
		}
		return false
	}
	return is(err) || anyError(errors.Unwrap(err), is)
}

// stable keeps of an error what does not change from one try to the next: a
// message that did would be a write with each retry.
func stable(err error) string {
	switch {
	case anyError(err, apierrors.IsConflict):
		return "a write met a newer version; the next pass looks again"
	case anyError(err, apierrors.IsTooManyRequests):
		return "the API server asks to slow down"
	case anyError(err, apierrors.IsTimeout), anyError(err, apierrors.IsServerTimeout):
		return "the API server did not answer in time"
	}
	return err.Error()
}
