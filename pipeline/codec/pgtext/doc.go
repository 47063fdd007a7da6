// Package pgtext converts between pipeline.Values and what PostgreSQL sends and takes: the text and
// the binary form of its types, and the framing of COPY.
//
// Invariants:
//
//   - Both forms of one value decode to equal Values, and a Value of a kind with bytes holds what the
//     server's output function prints, byte for byte, under the settings that every connection of
//     pipe pins (DateStyle ISO, IntervalStyle postgres, TimeZone UTC, bytea_output hex,
//     extra_float_digits at least 1, lc_monetary C).
//   - Nothing is guessed. A text that a parser does not recognise becomes a Value of kind Other with
//     that very text; binary input that a parser does not recognise is an error.
//   - A type is read in binary only where BinaryOK says so, which the tests prove against a server.
//   - Decoding allocates only in the batch's Arena.
//
// Neighbours: sources/postgres decodes tuples of pgoutput and rows of COPY with it, sinks/postgres
// encodes with it. Formats: PostgreSQL documentation, "Frontend/Backend Protocol", "COPY", and the
// send and output functions of the types (src/backend/utils/adt).
package pgtext
