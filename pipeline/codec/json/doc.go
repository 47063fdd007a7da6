// Package json writes the events of rows as JSON, appended to the caller's memory without
// allocating: Debezium's form (with schemas.enable false, or true: {"schema","payload"} with a text
// cached for each table) and flat rows.
//
// A flat row keeps what JSON can say exactly: numbers as they are, NaN and infinities as strings,
// bytes in base64, times in ISO 8601, JSON columns embedded (compacted, so that an event stays one
// line; one that is not valid, or nested deeper than MaxDepth, as a string), arrays as arrays.
// Control characters are escaped, also those beyond ASCII: data cannot drive a terminal.
//
// Neighbours: codec/envelope decides shapes and types; sinks/kafka and sinks/stdout send the bytes.
package json
