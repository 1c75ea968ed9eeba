package rest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// XML reads an XML document of any length whose outermost element is root: every element of a name, wherever it stands and whatever its namespace, becomes
// a T as encoding/xml says, and its JSON a record. Another root is an error, so that a message of an error is not taken for an empty list. Entities beyond the five of XML are refused, so nothing can grow by them or reach beyond the document.
func XML[T any](root, element string) Decode {
	return func(body io.Reader, each func([]byte) error) (Values, error) {
		in := &bounded{r: body}
		d := xml.NewDecoder(in)
		d.CharsetReader = func(name string, r io.Reader) (io.Reader, error) {
			encoding, err := htmlindex.Get(name)
			if err != nil {
				return nil, err
			}
			return encoding.NewDecoder().Reader(r), nil
		}
		rooted := false
		for n := 0; ; {
			token, err := d.Token()
			if err == io.EOF && rooted {
				return Values{}, nil
			}
			if err != nil {
				return nil, xmlFailure(in, err, n)
			}
			start, ok := token.(xml.StartElement)
			if ok && !rooted {
				if rooted = strings.EqualFold(start.Name.Local, root); !rooted {
					return nil, sdk.Errorf(sdk.ClassSourceBug, "the answer is no %s", root)
				}
				continue
			}
			if !ok || !strings.EqualFold(start.Name.Local, element) {
				continue
			}
			n++
			var value T
			in.left = maxElement
			err = d.DecodeElement(&value, &start)
			in.left = 0
			if err != nil {
				return nil, xmlFailure(in, err, n)
			}
			record, err := json.Marshal(value)
			if err != nil {
				return nil, sdk.Errorf(sdk.ClassSourceBug, "element %d: no JSON can be made of it", n)
			}
			if err := each(record); err != nil {
				return nil, err
			}
		}
	}
}

// xmlFailure says what a broken document is, without quoting it.
func xmlFailure(in *bounded, err error, n int) error {
	var syntax *xml.SyntaxError
	switch {
	case in.err != nil && in.err != io.EOF:
		return broken(in.err)
	case errors.Is(err, errElement):
		return sdk.Errorf(sdk.ClassData, "element %d of an answer has more than %d bytes", n+1, maxElement)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return broken(io.ErrUnexpectedEOF)
	case errors.As(err, &syntax):
		return sdk.Errorf(sdk.ClassSourceBug, "the answer is not XML from line %d on, after %d elements", syntax.Line, n)
	}
	return sdk.Errorf(sdk.ClassSourceBug, "element %d of the answer does not have the form that was expected", n)
}
