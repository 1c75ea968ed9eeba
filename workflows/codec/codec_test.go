package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

type carried struct {
	Tombstone
	Connection string
	Pages      int
}

func newCodec(t *testing.T, fill ...byte) *Codec {
	t.Helper()
	var keys [][]byte
	for _, b := range fill {
		keys = append(keys, bytes.Repeat([]byte{b}, 32))
	}
	c, err := New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func in(c *Codec, workflow string) converter.DataConverter {
	data, _ := c.Converters()
	return converter.WithDataConverterSerializationContext(data, converter.WorkflowSerializationContext{Namespace: "lrshub", WorkflowID: workflow})
}

func seal(t *testing.T, dc converter.DataConverter, v any) *commonpb.Payload {
	t.Helper()
	p, err := dc.ToPayload(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSealedAndBound(t *testing.T) {
	c := newCodec(t, 1)
	payload := seal(t, in(c, "sync/1/a"), carried{Connection: "c0nnect10n", Pages: 3})
	raw, err := proto.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("c0nnect10n")) || bytes.Contains(raw, []byte("json")) {
		t.Error("the payload stands in clear")
	}
	if again := seal(t, in(c, "sync/1/a"), carried{Connection: "c0nnect10n", Pages: 3}); bytes.Equal(again.Data, payload.Data) {
		t.Error("the same payload is sealed to the same bytes")
	}
	var got carried
	if err := in(c, "sync/1/a").FromPayload(payload, &got); err != nil || got.Connection != "c0nnect10n" || got.Pages != 3 || got.Destroyed {
		t.Errorf("opened: %+v, %v", got, err)
	}
	data, _ := c.Converters()
	activity := converter.WithDataConverterSerializationContext(data, converter.ActivitySerializationContext{Namespace: "lrshub", WorkflowID: "sync/1/a", ActivityType: "Begin"})
	if err := activity.FromPayload(payload, &got); err != nil {
		t.Errorf("an activity of the workflow: %v", err)
	}
	for what, dc := range map[string]converter.DataConverter{"another workflow": in(c, "sync/1/b"), "no workflow": data} {
		if err := dc.FromPayload(payload, &got); !errors.Is(err, ErrSealed) {
			t.Errorf("%s opens it: %v", what, err)
		}
	}
	for i := range payload.Data {
		bent := proto.Clone(payload).(*commonpb.Payload)
		bent.Data[i] ^= 1
		if err := in(c, "sync/1/a").FromPayload(bent, &got); !errors.Is(err, ErrSealed) {
			t.Fatalf("altered at byte %d: %v", i, err)
		}
	}
	plain := seal(t, converter.GetDefaultDataConverter(), carried{Connection: "forged"})
	if err := in(c, "sync/1/a").FromPayload(plain, &got); !errors.Is(err, ErrPlaintext) {
		t.Errorf("a payload in clear: %v", err)
	}
}

func TestKeysComeAndGo(t *testing.T) {
	before := seal(t, in(newCodec(t, 1), "w"), carried{Pages: 1})
	both := newCodec(t, 2, 1)
	after := seal(t, in(both, "w"), carried{Pages: 2})
	for pages, p := range map[int]*commonpb.Payload{1: before, 2: after} {
		var got carried
		if err := in(both, "w").FromPayload(p, &got); err != nil || got.Pages != pages {
			t.Errorf("with both keys: %+v, %v", got, err)
		}
	}
	var got carried
	if err := in(newCodec(t, 2), "w").FromPayload(before, &got); err != nil || !got.Destroyed || got.Pages != 0 {
		t.Errorf("after the first key was destroyed: %+v, %v", got, err)
	}
	for _, keys := range [][][]byte{{}, {make([]byte, 31)}} {
		if _, err := New(keys...); err == nil {
			t.Errorf("New takes %d keys", len(keys))
		}
	}
}

func TestFailuresAreSealed(t *testing.T) {
	_, failures := newCodec(t, 1).Converters()
	at := converter.WorkflowSerializationContext{Namespace: "lrshub", WorkflowID: "w"}
	bound := converter.WithFailureConverterSerializationContext(failures, at)
	failure := bound.ErrorToFailure(temporal.NewApplicationError("the folder s3cret is missing", "config", carried{Connection: "s3cret"}))
	raw, err := proto.Marshal(failure)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("s3cret")) {
		t.Errorf("a failure's text stands in clear: %v", failure)
	}
	back := bound.FailureToError(proto.Clone(failure).(*failurepb.Failure))
	var application *temporal.ApplicationError
	if !errors.As(back, &application) || application.Type() != "config" || !strings.Contains(back.Error(), "the folder s3cret is missing") {
		t.Errorf("read back: %v", back)
	}
	// A failure whose key is gone still decodes, without its text.
	_, later := newCodec(t, 2).Converters()
	gone := converter.WithFailureConverterSerializationContext(later, at).FailureToError(failure)
	if !errors.As(gone, &application) || application.Type() != "config" || strings.Contains(gone.Error(), "s3cret") {
		t.Errorf("after the key was destroyed: %v", gone)
	}
}
