// Package spec is what a configuration block may say. A component describes its block once, bound
// to the fields of its configuration struct as package flag binds flags; that one description
// yields decoding, defaults, validation with source ranges, "pipe explain", the reference pages and
// JSON for editors.
//
// Decode reads a body through a description and reports everything that is wrong in it, each with
// its range and the nearest suggestion. There are three scopes, fixed by the type that an attribute
// is bound to: ordinary values are evaluated at once, a Template once for each table, an Expr for
// each row (it is kept here and compiled by package expr).
//
// Invariants: a Secret never shows itself, and no message contains a value that is marked as
// sensitive. Names of tables do not pass through cty where a Template uses them as they are.
//
// Neighbours: components define their blocks with it and test them with spectest; pipeline/config
// decodes files with it.
package spec
