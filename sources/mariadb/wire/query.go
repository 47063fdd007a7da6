package wire

import (
	"context"
	"fmt"
)

const (
	comQuery         = 3
	comBinlogDump    = 18
	comRegisterSlave = 21
)

// Cell is one value of a small result.
type Cell struct {
	Text string
	Null bool
}

// ColumnDef describes a column of a result.
type ColumnDef struct {
	Name      string
	Collation int
	Type      byte
}

// Exec runs a statement whose result does not matter.
func (c *Conn) Exec(ctx context.Context, sql string) error {
	_, err := c.Query(ctx, sql)
	return err
}

// Query runs a statement and returns its rows, all of them: for small results.
func (c *Conn) Query(ctx context.Context, sql string) ([][]Cell, error) {
	defer c.watch(ctx)()
	columns, err := c.Start(sql)
	if err != nil {
		return nil, within(ctx, err)
	}
	var out [][]Cell
	for len(columns) > 0 {
		p, err := c.Row()
		if err != nil {
			return nil, within(ctx, err)
		}
		if p == nil {
			break
		}
		row := make([]Cell, len(columns))
		for i := range row {
			value, null, rest, ok := TextCell(p)
			if !ok {
				return nil, ErrProtocol
			}
			row[i], p = Cell{Text: string(value), Null: null}, rest
		}
		out = append(out, row)
	}
	return out, nil
}

// watch interrupts the connection when ctx ends; the function returned ends that.
func (c *Conn) watch(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, c.Interrupt)
	return func() { stop() }
}

func within(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Start sends a statement and reads the begin of its result: the columns, none where it has no rows.
// The rows must then be read to their end.
func (c *Conn) Start(sql string) ([]ColumnDef, error) {
	if err := c.command(comQuery, []byte(sql)...); err != nil {
		return nil, err
	}
	p, err := c.next()
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, ErrProtocol
	}
	switch p[0] {
	case msgOK:
		return nil, nil
	case msgError:
		return nil, parseError(p)
	}
	n, _, _, ok := lengthOf(p)
	if !ok || n > 1<<16 {
		return nil, fmt.Errorf("%w: a result of %d columns", ErrProtocol, n)
	}
	columns := make([]ColumnDef, n)
	for i := range columns {
		if p, err = c.next(); err != nil {
			return nil, err
		}
		if columns[i], ok = columnDef(p); !ok {
			return nil, fmt.Errorf("%w: a column's description", ErrProtocol)
		}
	}
	if p, err = c.next(); err != nil {
		return nil, err
	}
	if !isEOF(p) {
		return nil, fmt.Errorf("%w: columns without an end", ErrProtocol)
	}
	return columns, nil
}

// columnDef reads catalog, database, table, original table, name, original name, and the fixed part.
func columnDef(p []byte) (d ColumnDef, ok bool) {
	for i := range 6 {
		value, _, rest, ok := TextCell(p)
		if !ok {
			return d, false
		}
		if p = rest; i == 4 {
			d.Name = string(value)
		}
	}
	if len(p) < 8 {
		return d, false
	}
	d.Collation = int(p[1]) | int(p[2])<<8
	d.Type = p[7]
	return d, true
}

// Row returns the next row's bytes, for TextCell; nil at the end. They are valid until the next call.
func (c *Conn) Row() ([]byte, error) {
	p, err := c.next()
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, ErrProtocol
	}
	if p[0] == msgError {
		return nil, parseError(p)
	}
	if isEOF(p) {
		return nil, nil
	}
	return p, nil
}
