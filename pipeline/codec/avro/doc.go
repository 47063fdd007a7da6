// Package avro writes rows as Avro: it derives the Avro schemas of a table's key and value, compiles
// an append encoder for them, and decodes such data again within bounds.
//
// A Program belongs to one pipeline.Schema and one name (the topic). It is immutable but for the
// registry's ids, set once before its use, and safe for concurrent use. Encoding a row allocates
// nothing; every string is checked to be UTF-8 and every number to fit its type, and an error names
// table, column and key. Names that Avro does not allow are made valid; two that become one are an
// error, found when the Program is compiled.
//
// Wire format: 0x00, the schema's id in 4 bytes, Avro's binary encoding (Confluent's).
//
// Neighbours: codec/envelope decides shapes and types; the registry subpackage keeps schemas;
// sinks/kafka sends the bytes.
package avro
