package bamboohr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/rest"
)

// pick copies what has a value: the API writes nothing as null, as an empty text or list, or as the day 0000-00-00.
func pick(record, from map[string]any, names map[string]string) map[string]any {
	for to, name := range names {
		switch v := from[name].(type) {
		case string:
			if v != "" && v != "0000-00-00" {
				record[to] = v
			}
		case json.Number:
			record[to] = v.String()
		case bool:
			record[to] = v
		}
	}
	return record
}

func give(each func([]byte) error, record map[string]any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("bamboohr: %w", err)
	}
	return each(text)
}

// parse reads an object, its numbers as they are written.
func parse(text []byte) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "a row is no JSON object")
	}
	return object, nil
}

// maxRows bounds a table that is held while its rows are put in order.
const maxRows = 1 << 20

// history reads a table of all employees, whose rows come in any order, and gives each with what holds before and after it.
func history(row func(now, before map[string]any) map[string]any) rest.Decode {
	return func(body io.Reader, each func([]byte) error) (rest.Values, error) {
		var rows []map[string]any
		var broken [][]byte
		values, err := rest.JSON("")(body, func(element []byte) error {
			if !utf8.Valid(element) {
				broken = append(broken, bytes.Clone(element)) // to be turned aside as it is
				return nil
			}
			object, err := parse(element)
			if err != nil {
				return err
			}
			if rows = append(rows, row(object, nil)); len(rows) > maxRows {
				return sdk.Errorf(sdk.ClassSourceBug, "the table has more than %d rows", maxRows)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(rows, func(a, b map[string]any) int {
			return cmp.Or(compare(a, b, "employee"), compare(a, b, "from"), compare(a, b, "row"))
		})
		for i, r := range rows {
			r["first"] = i == 0 || rows[i-1]["employee"] != r["employee"]
			if r["first"] == false {
				row(r, rows[i-1])
			}
			if i+1 < len(rows) && rows[i+1]["employee"] == r["employee"] && rows[i+1]["from"] != nil {
				r["until"] = rows[i+1]["from"]
			}
			if err := give(each, r); err != nil {
				return nil, err
			}
		}
		for _, element := range broken {
			if err := each(element); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
}

func compare(a, b map[string]any, name string) int {
	x, _ := a[name].(string)
	y, _ := b[name].(string)
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) // ids are numbers, days all have the same length
}

// job makes a record of a row of jobInfo; with the one before, it adds what that said.
func job(now, before map[string]any) map[string]any {
	if before != nil {
		return pick(now, before, map[string]string{"previous_title": "title", "previous_department": "department"})
	}
	return pick(map[string]any{}, now, map[string]string{
		"employee": "employeeId", "row": "id", "from": "date", "title": "jobTitle", "department": "department", "division": "division", "location": "location",
	})
}

// employment does the same with employmentStatus.
func employment(now, before map[string]any) map[string]any {
	if before != nil {
		return pick(now, before, map[string]string{"previous_status": "status"})
	}
	return pick(map[string]any{}, now, map[string]string{"employee": "employeeId", "row": "id", "from": "date", "status": "employmentStatus"})
}

// member reads a member of an object by id, which is an object; another, such as the text of an error, is none.
func member(element []byte) (map[string]any, error) {
	whole, err := parse(element)
	if err != nil {
		return nil, err
	}
	value, _ := whole["value"].(map[string]any)
	if value["id"] == nil {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "the answer is no object of records by their ids")
	}
	return value, nil
}

// training makes a record of a training record: its notes, instructor and cost stay where they are.
func training(element []byte, each func([]byte) error) error {
	value, err := member(element)
	if err != nil {
		return err
	}
	return give(each, pick(map[string]any{}, value, map[string]string{
		"id": "id", "employee": "employeeId", "type": "type", "completed": "completed", "credits": "credits", "hours": "hours",
	}))
}

// trainingType makes a record of a type of training, whose category is an object or an empty list.
func trainingType(element []byte, each func([]byte) error) error {
	value, err := member(element)
	if err != nil {
		return err
	}
	record := pick(map[string]any{}, value, map[string]string{"id": "id", "name": "name", "required": "required"})
	category, _ := value["category"].(map[string]any)
	return give(each, pick(record, category, map[string]string{"category": "name"}))
}
