package envelope

import "github.com/pipe-cdc/pipe/pipeline"

// logical maps to Avro's own logical types, for readers that know nothing of Connect.
func (m Mapping) logical(c *pipeline.Column) Type {
	t := m.connect(c)
	t.Name, t.Params = "", nil
	switch c.Kind {
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return m.logicalTime(c, t)
	case pipeline.UUID:
		t.Logical = "uuid"
	case pipeline.Decimal:
		if t.Form == VarDecimal {
			t.Form = DecimalText
		}
	case pipeline.Interval:
		t.Form = ISODuration
	}
	if t.Form == Int16 {
		t.Form = Int32
	}
	return t
}

func (m Mapping) logicalTime(c *pipeline.Column, t Type) Type {
	if m.Time == InISO {
		t.Zoned = c.Kind == pipeline.TimestampTZ
		t.Form = ISO
		return t
	}
	switch c.Kind {
	case pipeline.Date:
		return Type{Form: Date, Logical: "date"}
	case pipeline.Time:
		return Type{Form: TimeMicros, Logical: "time-micros"}
	case pipeline.Timestamp:
		return Type{Form: Micros, Logical: "local-timestamp-micros"}
	}
	return Type{Form: Micros, Logical: "timestamp-micros"}
}

// plain maps to what a reader of JSON expects.
func (m Mapping) plain(c *pipeline.Column) Type {
	switch c.Kind {
	case pipeline.Bool:
		return Type{Form: Bool}
	case pipeline.Int:
		return Type{Form: Int64}
	case pipeline.Uint:
		return Type{Form: Unsigned}
	case pipeline.Float32:
		return Type{Form: Float32}
	case pipeline.Float64:
		return Type{Form: Float64}
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return Type{Form: ISO, Digits: -1, Zoned: c.Kind == pipeline.TimestampTZ}
	case pipeline.Bytes:
		return Type{Form: Bytes}
	case pipeline.Decimal:
		return m.plainDecimal()
	case pipeline.JSON:
		return Type{Form: Document}
	case pipeline.Array:
		return m.array(c)
	}
	return Type{Form: String}
}

func (m Mapping) plainDecimal() Type {
	switch m.Decimal {
	case Text:
		return Type{Form: DecimalText}
	case Approx:
		return Type{Form: DecimalFloat}
	}
	return Type{Form: DecimalNumber}
}
