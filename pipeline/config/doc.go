// Package config turns HCL files into a checked graph of components.
//
// Loading has two passes. The first collects the blocks of all files, settles variables and local
// values, and expands for_each, so that every instance and its address is known. The second
// resolves references between instances, decodes each block through its component's definition
// (package spec) and checks the graph. Every problem of a configuration is reported in one run.
//
// Invariants: Load never panics and never exhausts the stack, whatever the bytes (nesting is
// bounded before the recursive parser sees it). The same files give the same nodes in the same
// order. Values from env(), file() and sensitive variables never appear in a diagnostic.
//
// Neighbours: spec describes and decodes blocks, config/diag prints diagnostics, cmd/pipe passes the
// Registry of component types and runs the result. Row expressions are kept for package expr.
package config
