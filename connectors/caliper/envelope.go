package caliper

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// version is what dataVersion names (Caliper 1.1 and 1.2, section Envelope).
var version = regexp.MustCompile(`^https?://purl\.imsglobal\.org/ctx/caliper/v1p[12]$`)

// open gives the items of an envelope. Its errors name what is wrong and hold nothing of what was sent.
func open(body []byte) ([]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, sdk.Errorf(sdk.ClassData, "the body is no envelope: it must be a JSON object with sensor, sendTime, dataVersion and data")
	}
	texts := map[string]string{}
	for _, name := range []string{"sensor", "sendTime", "dataVersion"} {
		var text string
		raw, there := members[name]
		if !there {
			return nil, sdk.Errorf(sdk.ClassData, "the envelope has no %s", name)
		}
		if err := json.Unmarshal(raw, &text); err != nil || text == "" {
			return nil, sdk.Errorf(sdk.ClassData, "the envelope's %s is not a text, or empty", name)
		}
		texts[name] = text
	}
	if _, err := time.Parse(time.RFC3339, texts["sendTime"]); err != nil {
		return nil, sdk.Errorf(sdk.ClassData, "the envelope's sendTime must be an instant like 2026-01-31T08:00:00.000Z")
	}
	if !version.MatchString(texts["dataVersion"]) {
		return nil, sdk.Errorf(sdk.ClassData, "the envelope's dataVersion must be http://purl.imsglobal.org/ctx/caliper/v1p1 or /v1p2: this hub reads Caliper 1.1 and 1.2")
	}
	raw, there := members["data"]
	if !there {
		return nil, sdk.Errorf(sdk.ClassData, "the envelope has no data")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, sdk.Errorf(sdk.ClassData, "the envelope's data is not a list")
	}
	if len(items) == 0 {
		return nil, sdk.Errorf(sdk.ClassData, "the envelope's data is empty: it must hold at least one event or entity")
	}
	return items, nil
}
