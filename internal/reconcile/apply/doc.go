// SPDX-License-Identifier: Apache-2.0

// Package apply is the one writer of children. It knows no particular kind.
//
// What it remembers of a child are three things, kept in the pipeline's status:
// the UID, the digest of the payload last applied, and the digest of the
// operator's own entry in managedFields. Another manager that touches a value of
// ours makes that entry another one, on every kind; one that adds a field of its
// own does not. So a watch on metadata is enough to know whether anything of ours
// was touched, and a child of which nothing was touched and nothing new is wanted
// costs no request, also after a restart.
//
//	as remembered          -> nothing
//	touched, or new wanted -> one apply, with the UID: it can never create
//	absent                 -> one look at the metadata, and one apply
//
// An object that is not ours is never touched: see NotOwnedError.
package apply
