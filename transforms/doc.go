// Package transforms holds the built-in transforms: cast, filter, route, rename, omit, mask and set.
// Each is a configuration struct that implements spec.Transform.
//
// Invariants: a transform is pure (equal rows give equal rows, so a replay does too); it is bound
// once per schema and allocates nothing per row but from the batch's arena; Values and Before are
// treated alike; the indexes of the schema's key stay right; rows of tables that "tables" does not
// name pass untouched; a value that was not sent stays Absent and is never read as NULL.
//
// Neighbours: pipeline/expr computes conditions and columns, pipeline/match chooses tables and
// columns, the engine binds and calls what is here. It imports no source, sink or engine.
package transforms
