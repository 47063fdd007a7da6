package kafka

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// rows turns the bytes of a table's keys back into what they were made of. A key counts only where
// encoding gives its very bytes again: so nothing that somebody else wrote becomes a delete.
type rows struct {
	table   *table
	wrapped bool
	decoder *avro.Decoder // nil for JSON
}

func newRows(s *Sink, t *table) (*rows, error) {
	r := &rows{table: t, wrapped: s.config.Format.Schemas}
	if t.keySchema == "" {
		return r, nil
	}
	var err error
	r.decoder, err = avro.NewDecoder(t.keySchema)
	return r, err
}

// old returns the row that a key is of, as a source sends it that knows the key only: other columns are
// Absent. False where the key is none of the table's.
func (r *rows) old(key []byte) ([]pipeline.Value, bool) {
	doc := key
	if r.decoder != nil {
		if len(key) < avro.HeaderSize {
			return nil, false
		}
		out, rest, err := r.decoder.AppendJSON(nil, key[avro.HeaderSize:])
		if err != nil || len(rest) > 0 {
			return nil, false
		}
		doc = out
	}
	if r.wrapped {
		doc = payload(doc)
	}
	plan := r.table.plan
	row := make([]pipeline.Value, len(plan.Schema.Columns))
	for i := range row {
		row[i] = pipeline.AbsentValue
	}
	n, fits := 0, true
	ok := members(doc, func(_, token []byte) {
		if fits = fits && n < len(plan.Keys); !fits {
			return
		}
		f := &plan.Keys[n]
		n++
		row[f.Index], fits = parse(f.Type, token)
	})
	if !ok || !fits || n != len(plan.Keys) {
		return nil, false
	}
	e := envelope.Event{Row: &pipeline.Row{Schema: plan.Schema, Op: pipeline.Delete, Before: row}}
	again, err := r.table.encode.AppendKey(nil, &e, row)
	return row, err == nil && bytes.Equal(again, key)
}

// parse reads a JSON value as one of a column's kind, the inverse of how envelope writes it; false where
// it is none, or the form is one that is not read.
func parse(t *envelope.Type, token []byte) (pipeline.Value, bool) {
	text := string(token)
	if text == "null" {
		return pipeline.NullValue, t.Optional
	}
	if text[0] == '"' && json.Unmarshal(token, &text) != nil {
		return pipeline.NullValue, false
	}
	quoted := token[0] == '"'
	switch t.Form {
	case envelope.Bool:
		return pipeline.BoolValue(text == "true"), t.Kind == pipeline.Bool
	case envelope.Float32, envelope.Float64:
		return parseFloat(t, text)
	case envelope.String, envelope.DecimalText, envelope.DecimalNumber:
		return pipeline.StringValue(t.Kind, text), t.Kind.HasBytes()
	case envelope.Bytes:
		b, err := base64.StdEncoding.DecodeString(text)
		return pipeline.BytesValue(t.Kind, b), err == nil && t.Kind.HasBytes()
	case envelope.ISO:
		return parseISO(t, text)
	case envelope.Decimal:
		return parseDecimal(t, text, quoted, t.Scale)
	case envelope.VarDecimal:
		return parseVarDecimal(t, token)
	}
	return parseLong(t, text)
}

// readable reports whether parse reads a form.
func readable(f envelope.Form) bool {
	switch f {
	case envelope.ZonedTime, envelope.DecimalFloat, envelope.Money, envelope.Bit, envelope.Bits, envelope.Duration,
		envelope.ISODuration, envelope.Document, envelope.Hstore, envelope.Array:
		return false
	}
	return true
}

func parseLong(t *envelope.Type, text string) (pipeline.Value, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return pipeline.NullValue, false
	}
	switch t.Form {
	case envelope.Int16, envelope.Int32, envelope.Int64, envelope.Unsigned:
		if t.Kind == pipeline.Uint {
			return pipeline.UintValue(uint64(n)), n >= 0
		}
		return pipeline.IntValue(n), t.Kind == pipeline.Int
	case envelope.Date:
		switch n {
		case math.MaxInt32:
			return pipeline.DateValue(pipeline.PosInfinity), true
		case math.MinInt32:
			return pipeline.DateValue(pipeline.NegInfinity), true
		}
		return pipeline.DateValue(n - pipeline.EpochDays), true
	case envelope.TimeMillis:
		return pipeline.TimeValue(n * 1000), true
	case envelope.TimeMicros:
		return pipeline.TimeValue(n), true
	case envelope.Millis:
		n *= 1000
	case envelope.Micros:
	default:
		return pipeline.NullValue, false
	}
	if t.Kind == pipeline.TimestampTZ {
		return pipeline.TimestampTZValue(n - pipeline.EpochMicros), true
	}
	return pipeline.TimestampValue(n - pipeline.EpochMicros), true
}

func parseFloat(t *envelope.Type, text string) (pipeline.Value, bool) {
	if t.Kind == pipeline.Float32 {
		f, err := strconv.ParseFloat(text, 32)
		return pipeline.Float32Value(float32(f)), err == nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return pipeline.Float64Value(f), err == nil && t.Kind == pipeline.Float64
}

// parseISO reads ISO 8601, which PostgreSQL prints with a space for the T.
func parseISO(t *envelope.Type, text string) (pipeline.Value, bool) {
	text, zoned := strings.CutSuffix(strings.Replace(text, "T", " ", 1), "Z")
	if zoned && t.Kind == pipeline.TimestampTZ {
		text += "+00"
	}
	v, err := t.ParseText([]byte(text))
	return v, err == nil
}

// parseDecimal reads a number, or its digits in base64.
func parseDecimal(t *envelope.Type, text string, quoted bool, scale int) (pipeline.Value, bool) {
	if quoted {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) > maxDecimalKey || scale < 0 {
			return pipeline.NullValue, false
		}
		text = pointed(b, scale)
	}
	if t.Kind == pipeline.Uint {
		n, err := strconv.ParseUint(text, 10, 64)
		return pipeline.UintValue(n), err == nil
	}
	return pipeline.StringValue(t.Kind, text), t.Kind == pipeline.Decimal
}

func parseVarDecimal(t *envelope.Type, token []byte) (pipeline.Value, bool) {
	var parts struct {
		Scale int    `json:"scale"`
		Value string `json:"value"`
	}
	if json.Unmarshal(token, &parts) != nil || parts.Scale > maxDecimalKey {
		return pipeline.NullValue, false
	}
	return parseDecimal(t, parts.Value, true, parts.Scale)
}

// maxDecimalKey bounds the numbers in keys: bytes, and digits after the point.
const maxDecimalKey = 1024

// pointed renders a number of two's complement with a point.
func pointed(twos []byte, scale int) string {
	n := new(big.Int).SetBytes(twos)
	if len(twos) > 0 && twos[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(twos))))
	}
	digits, sign := n.Text(10), ""
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	if scale == 0 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
