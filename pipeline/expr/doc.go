// Package expr compiles row expressions: the syntax tree of an HCL expression becomes typed closures
// over a Row, for one table's Schema, with SQL's NULL, static types and exact decimals. Nothing of a
// row ever passes through cty, which normalises Unicode and costs microseconds.
//
// A comparison with NULL is unknown, unknown is not true, && and || are three-valued, and x == null
// asks whether x is NULL. Text compares by its bytes; char(n) of PostgreSQL is read without the
// blanks that pad it. Integers divide as integers, decimals exactly (a quotient is rounded to 20
// digits after the point), floats compare as float8. A column that was not sent is taken from the
// old row, else what depends on it fails with ErrAbsent: it is never NULL.
//
// The same expression can be rendered as PostgreSQL SQL (Program.SQL), to be pushed into a snapshot
// SELECT or a publication's row filter; where SQL would not mean the same, it refuses.
//
// Invariants: equal rows give equal results (no clock, no random); evaluation of the usual types
// does not allocate; constants marked sensitive never reach a diagnostic.
//
// Neighbours: package config checks expressions with it; transforms and sources run them.
package expr
