package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// pass reads all parts, from the one under way on.
func (rd *reader) pass(ctx context.Context) error {
	if rd.s.Parts == nil {
		return rd.part(ctx)
	}
	var ids []string
	err := rd.s.Parts(ctx, rd.c, func(id string) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	rd.known.Keep(ids)
	for _, id := range ids {
		if before := compareIDs(id, rd.cur.Part); rd.cur.Part != "" && (before < 0 || before == 0 && rd.cur.PartDone) {
			continue
		}
		if id != rd.cur.Part || rd.cur.PartDone {
			rd.cur.Part, rd.cur.PartDone, rd.cur.At, rd.cur.Skip, rd.cur.Last, rd.cur.Total = id, false, "", 0, 0, 0
		}
		err := rd.part(ctx)
		var status Status
		if errors.As(err, &status) && (status == http.StatusNotFound || status == http.StatusGone) {
			rd.cur.Lossy, err = true, nil // it was there when the parts were told; the next run knows
		}
		if err != nil {
			return err
		}
		rd.known.Set(id, 0)
		rd.cur.PartDone, rd.cur.At, rd.cur.Skip = true, "", 0
		if rd.out.Due() {
			if err := rd.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareIDs orders ids that are numbers by their value, before all others.
func compareIDs(a, b string) int {
	x, one := strconv.ParseUint(a, 10, 64)
	y, two := strconv.ParseUint(b, 10, 64)
	switch {
	case one == nil && two == nil && x != y:
		return cmp.Compare(x, y)
	case (one == nil) != (two == nil):
		return map[bool]int{true: -1, false: 1}[one == nil]
	}
	return cmp.Compare(a, b)
}

// Part makes a Parts of the records of a path: of each the value at a dotted path, such as "id", is one.
func Part(path, records string, paging Paging, id string) func(context.Context, *Client, func(string) error) error {
	return func(ctx context.Context, c *Client, each func(string) error) error {
		return c.Each(ctx, path, records, paging, func(record []byte) error {
			text := Text(record, id)
			if text == "" {
				return sdk.Errorf(sdk.ClassSourceBug, "a record of %s has no %s", path, id)
			}
			return each(text)
		})
	}
}

// Each asks for all pages of a path, and gives each element of the list at records.
func (c *Client) Each(ctx context.Context, path, records string, paging Paging, each func(element []byte) error) error {
	s := &Stream{Path: path, Records: records, Paging: paging, Raw: true, Convert: func(element []byte, _ func([]byte) error) error { return each(element) }}
	return newReader(c, s, sdk.NewOutput(sdk.Request{}, func(sdk.Event) error { return nil })).part(ctx)
}
