// Package spec is what a configuration block may say. A component describes its block once, bound
// to the fields of its configuration struct as package flag binds flags; that one description
// yields decoding, defaults, validation with source ranges, "pipe explain", the reference pages and
// JSON for editors.
//
// Neighbours: components define their blocks with it; pipeline/config decodes files with it.
package spec
