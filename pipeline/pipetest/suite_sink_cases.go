package pipetest

import "github.com/pipe-cdc/pipe/pipeline"

func sinkCases() []sinkCase {
	return append(plainCases(), absentCases()...)
}

func plainCases() []sinkCase {
	s := Items()
	return []sinkCase{
		{name: "insert, update, delete", batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, "n").Insert(2, "b", 2, nil).Insert(3, nil, nil, nil).Mark(Position(1)).Batch(),
				NewBatch(s).Update(nil, 1, "a2", 10, "n2").Delete(key(2)...).Mark(Position(2)).Batch(),
			}
		}, want: []string{"1|a2|10|n2", "3|null|null|null"}},
		{name: "read rows of a snapshot", batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{NewBatch(s).Read(1, "a", 1, nil).Read(2, "", 0, "").Mark(Position(1)).Batch()}
		}, want: []string{"1|a|1|null", "2||0|"}},
		{name: "one key many times in a batch", batches: func() []*pipeline.Batch {
			b := NewBatch(s).Insert(1, "v", 0, "n")
			for i := range 50 {
				b.Update(nil, 1, "v", i, "n")
			}
			b.Insert(2, "gone", 1, nil).Delete(key(2)...).Insert(3, "old", 1, "x").Delete(key(3)...).Insert(3, "new", 2, nil)
			return []*pipeline.Batch{b.Mark(Position(1)).Batch()}
		}, want: []string{"1|v|49|n", "3|new|2|null"}},
		{name: "one key over transactions of a batch", batches: func() []*pipeline.Batch {
			b := NewBatch(s)
			for i := range 20 {
				b.Insert(7, "v", i, nil).Mark(Position(2*i + 1)).Delete(key(7)...).Mark(Position(2*i + 2))
			}
			return []*pipeline.Batch{b.Insert(7, "last", 99, nil).Mark(Position(90)).Batch()}
		}, want: []string{"7|last|99|null"}},
		{name: "a key changes and is used again", batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, "n").Insert(2, "b", 2, "n").Mark(Position(1)).Batch(),
				NewBatch(s).Update(key(1), 10, "a", 1, "n").Insert(1, "again", 5, nil).
					Update(nil, 10, "a2", 2, "n").Mark(Position(2)).Batch(),
			}
		}, want: []string{"10|a2|2|n", "1|again|5|null", "2|b|2|n"}},
		{name: "two keys are swapped", batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, "na").Insert(2, "b", 2, "nb").Mark(Position(1)).Batch(),
				NewBatch(s).Update(key(1), -1, "a", 1, "na").Update(key(2), 1, "b", 2, "nb").
					Update(key(-1), 2, "a", 1, "na").Mark(Position(2)).Batch(),
			}
		}, want: []string{"1|b|2|nb", "2|a|1|na"}},
		{name: "full old rows", batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, "n").Insert(2, "b", 2, nil).Mark(Position(1)).Batch(),
				NewBatch(s).Update(Row{1, "a", 1, "n"}, 1, "a2", 1, "n").Delete(2, "b", 2, nil).Mark(Position(2)).Batch(),
			}
		}, want: []string{"1|a2|1|n"}},
		{name: "the schema gains a column", batches: func() []*pipeline.Batch {
			wide := Items("extra")
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, nil).Insert(2, "b", 2, nil).Mark(Position(1)).Batch(),
				NewBatch(s).Insert(3, "c", 3, nil).Table(wide).Insert(4, "d", 4, nil, "e").
					Update(nil, 1, "a", 1, nil, "late").Mark(Position(2)).Batch(),
			}
		}, want: []string{"1|a|1|null|late", "2|b|2|null|null", "3|c|3|null|null", "4|d|4|null|e"}},
		{name: "truncate in its place", truncat: true, batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{
				NewBatch(s).Insert(1, "a", 1, nil).Insert(2, "b", 2, nil).Mark(Position(1)).Batch(),
				NewBatch(s).Insert(3, "c", 3, nil).Truncate(0).Insert(1, "new", 1, nil).Mark(Position(2)).Batch(),
			}
		}, want: []string{"1|new|1|null"}},
	}
}

func absentCases() []sinkCase {
	s := Items()
	first := func() *pipeline.Batch {
		return NewBatch(s).Insert(1, "a", 1, "kept").Insert(2, "b", 2, "kept too").Mark(Position(1)).Batch()
	}
	return []sinkCase{
		{name: "an unchanged value is left alone", absent: true, batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{first(), NewBatch(s).Update(nil, 1, "a2", 10, absent).Mark(Position(2)).Batch()}
		}, want: []string{"1|a2|10|kept", "2|b|2|kept too"}},
		{name: "unchanged values within one batch", absent: true, batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{NewBatch(s).Insert(1, "a", 1, "big").Update(nil, 1, "a2", 2, absent).
				Update(nil, 1, absent, 3, absent).Update(nil, 1, "a4", absent, absent).Mark(Position(1)).Batch()}
		}, want: []string{"1|a4|3|big"}},
		{name: "a key change with an unchanged value", absent: true, batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{first(), NewBatch(s).Update(key(1), 10, "a", 1, absent).Mark(Position(2)).Batch()}
		}, want: []string{"10|a|1|kept", "2|b|2|kept too"}},
		{name: "a chain of key changes with unchanged values in one batch", absent: true, batches: func() []*pipeline.Batch {
			return []*pipeline.Batch{first(), NewBatch(s).Update(key(1), 10, "a", 1, absent).Update(nil, 10, "a3", 3, absent).
				Update(key(10), 11, "a3", 3, absent).Update(key(2), 1, "b", 2, absent).Mark(Position(2)).Batch()}
		}, want: []string{"11|a3|3|kept", "1|b|2|kept too"}},
	}
}
