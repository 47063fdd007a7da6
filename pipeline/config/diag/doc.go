// Package diag prints what is wrong with a configuration: the place, the source line with carets,
// what is allowed and the fix. A Diagnostic is the one form; text, JSON and GitHub's annotations are
// made from it.
//
// Invariants: parts of a file that hold a literal secret never appear; nor does anything that
// could drive a terminal. Values of expressions are never printed.
//
// Neighbours: pipeline/config and pipeline/spec find the problems; cmd/pipe prints them.
package diag
