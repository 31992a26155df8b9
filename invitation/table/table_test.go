package table_test

import (
	"testing"

	"github.com/ringfleet/ringfleet/invitation/table"
)

func TestMermaid(t *testing.T) {
	edges := []table.Edge{
		{From: "A", To: "B", On: "x"},
		{From: "A", To: "C", On: "y"},
		{From: "A", To: "B", On: "z"},
		{From: "A", To: "B", On: "x"},
		{From: "B", To: "C", On: "y"},
	}
	want := `stateDiagram-v2
    [*] --> A
    A --> B: x, z
    A --> C: y
    B --> C: y
    C --> [*]
`
	if got := table.Mermaid("A", edges, func(s string) bool { return s == "C" }); got != want {
		t.Errorf("drawn:\n%s", got)
	}
}

func TestMarkdown(t *testing.T) {
	tab := table.New(2, 3, func(s int) string { return string(rune('A' + s)) }, func(i int) string { return string(rune('x' + i)) })
	if tab.Verdicts[1][2] != table.Hole {
		t.Error("a new table has no holes")
	}
	tab.Verdicts[0][0], tab.Verdicts[1][0] = table.Move, table.Repeat
	tab.Verdicts[0][1], tab.Verdicts[1][1] = table.Ignore, table.Reject
	want := `| | A | B |
|---|---|---|
| x | move | repeat |
| y | ignore | reject |
| z | hole | hole |
`
	if got := tab.Markdown(); got != want {
		t.Errorf("drawn:\n%s", got)
	}
}
