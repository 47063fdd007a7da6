// Package expr compiles row expressions: the syntax tree of an HCL expression becomes typed closures
// over a Row, for one table's Schema, with SQL's NULL, static types and exact decimals. Nothing of a
// row ever passes through cty, which normalises Unicode and costs microseconds.
//
// The same expression can be rendered as PostgreSQL SQL (Program.SQL), to be pushed into a snapshot
// SELECT or a publication's row filter; where SQL would not mean the same, it refuses.
//
// Neighbours: package config checks expressions with it; transforms and sources run them.
package expr
