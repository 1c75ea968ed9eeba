package ingest_test

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/xapi"
	"github.com/lrshub/lrshub/plugins/contract"
)

// tokens are random texts in the places that may hold a person, by place.
type tokens map[string]string

// put gives a new token for a place.
func (k tokens) put(place string) string {
	k[place] = strings.ToLower(rand.Text()[:20])
	return k[place]
}

// traces lists all by which a text could be known again in a dump whose bytes are written in hex.
func traces(text string) map[string]string {
	found := map[string]string{"plain": text, "hex": hex.EncodeToString([]byte(text))}
	for i := range 3 { // wherever it begins within a base64 text
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			inner := encoding.EncodeToString([]byte(strings.Repeat("x", i) + text))[(8*i+5)/6 : 8*(i+len(text))/6] // what does not depend on its neighbours
			found[fmt.Sprint(name, i)] = inner
			found[fmt.Sprint(name, i, " in hex")] = hex.EncodeToString([]byte(inner))
		}
	}
	units := utf16.Encode([]rune(text))
	little, big := make([]byte, 2*len(units)), make([]byte, 2*len(units))
	for i, u := range units {
		binary.LittleEndian.PutUint16(little[2*i:], u)
		binary.BigEndian.PutUint16(big[2*i:], u)
	}
	found["UTF-16LE"], found["UTF-16BE"] = hex.EncodeToString(little), hex.EncodeToString(big)
	sums := map[string][]byte{}
	m, s1, s256 := md5.Sum([]byte(text)), sha1.Sum([]byte(text)), sha256.Sum256([]byte(text))
	sums["MD5"], sums["SHA-1"], sums["SHA-256"] = m[:], s1[:], s256[:]
	for name, space := range map[string]uuid.UUID{"DNS": uuid.NameSpaceDNS, "URL": uuid.NameSpaceURL, "OID": uuid.NameSpaceOID, "X500": uuid.NameSpaceX500, "nil": uuid.Nil} {
		id := uuid.NewSHA1(space, []byte(text))
		sums["UUIDv5 "+name], found["UUIDv5 text "+name] = id[:], id.String()
	}
	for name, sum := range sums {
		found[name], found[name+" base64"] = hex.EncodeToString(sum), base64.RawStdEncoding.EncodeToString(sum)
		found[name+" hex of hex"] = hex.EncodeToString([]byte(found[name]))
	}
	return found
}

// scan looks for texts, and what could be made of them without a key, in every table.
func (w *world) scan(texts map[string]string) (hits []string) {
	w.Helper()
	for _, table := range w.tables() {
		dump := w.dump(table)
		for place, text := range texts {
			for way, trace := range traces(text) {
				if strings.Contains(dump, trace) {
					hits = append(hits, table+": "+place+", "+way)
				}
			}
		}
	}
	return hits
}

// hidden reports whatever scan finds.
func (w *world) hidden(texts map[string]string) {
	w.Helper()
	for _, hit := range w.scan(texts) {
		w.Errorf("stands in clear: %s", hit)
	}
}

// The scan must find what is there, or finding nothing would mean nothing.
func TestScanFinds(t *testing.T) {
	w := newWorld(t)
	k := tokens{}
	text := k.put("x")
	sum := sha256.Sum256([]byte(text))
	little := []byte{}
	for _, c := range text {
		little = binary.LittleEndian.AppendUint16(little, uint16(c))
	}
	v5 := uuid.NewSHA1(uuid.NameSpaceURL, []byte(text))
	for way, content := range map[string]any{
		"plain": []byte("before " + text), "SHA-256": sum[:], "UTF-16LE": little, "base64": []byte("x" + base64.StdEncoding.EncodeToString([]byte("ab"+text+"end"))), "UUIDv5": v5[:],
	} {
		if _, err := w.owner.Exec("INSERT INTO subject (tenant_id, id, person_id, identifier) VALUES (1, $1, $1, $2)", uuid.NewString(), content); err != nil {
			t.Fatal(err)
		}
		if len(w.scan(k)) == 0 {
			t.Errorf("%s is not found", way)
		}
		if _, err := w.owner.Exec("DELETE FROM subject"); err != nil {
			t.Fatal(err)
		}
	}
}

// everywhere is a statement with a token in every place that may hold a person.
func (k tokens) everywhere(prefix string) string {
	p := func(place string) string { return k.put(prefix + place) }
	mbox := func(place string) string {
		address := p(place)
		k[prefix+place+" address"] = address + "@example.org"
		k[prefix+place+" mbox"] = "mailto:" + address + "@example.org"
		return fmt.Sprintf(`{"objectType":"Agent","mbox":"mailto:%s@example.org","name":"%s"}`, address, p(place+" name"))
	}
	account := func(place string) string {
		return fmt.Sprintf(`{"objectType":"Agent","account":{"homePage":"https://%s.example.org","name":"%s"}}`, p(place+" home page"), p(place+" account"))
	}
	openid := func(place string) string {
		k[prefix+place+" IRI"] = "https://id.example.org/" + p(place)
		return fmt.Sprintf(`{"objectType":"Agent","openid":"%s"}`, k[prefix+place+" IRI"])
	}
	hashed := func(place string) string {
		sum := sha1.Sum([]byte("mailto:" + p(place) + "@example.org"))
		k[prefix+place+" sum"] = hex.EncodeToString(sum[:])
		return fmt.Sprintf(`{"objectType":"Agent","mbox_sha1sum":"%x"}`, sum)
	}
	group := func(place string, members ...string) string {
		k[prefix+place+" mbox"] = "mailto:" + p(place) + "@example.org"
		return fmt.Sprintf(`{"objectType":"Group","mbox":"%s","name":"%s","member":[%s]}`, k[prefix+place+" mbox"], p(place+" name"), strings.Join(members, ","))
	}
	activity := func(place string) string {
		k[prefix+place+" IRI"] = "https://school.example/user/" + p(place)
		return fmt.Sprintf(`{"objectType":"Activity","id":"%s","definition":{"name":{"en":"%s"},"description":{"de":"%s"},"moreInfo":"https://school.example/%s",`+
			`"interactionType":"choice","correctResponsesPattern":["%s"],"choices":[{"id":"%s","description":{"en":"%s"}}],"extensions":{"https://school.example/%s":"%s"}}}`,
			k[prefix+place+" IRI"], p(place+" name"), p(place+" description"), p(place+" more"), p(place+" pattern"), p(place+" choice"), p(place+" choice text"),
			p(place+" extension key"), p(place+" extension"))
	}
	verb := func(place string) string {
		return fmt.Sprintf(`{"id":"http://adlnet.gov/expapi/verbs/met","display":{"en":"%s"}}`, p(place+" display"))
	}
	extensions := func(place string) string {
		return fmt.Sprintf(`{"https://school.example/x":{"deep":["%s"]},"https://school.example/%s":1}`, p(place), p(place+" key"))
	}
	attachment := fmt.Sprintf(`{"usageType":"https://school.example/usage","display":{"en":"%s"},"description":{"en":"%s"},"contentType":"text/plain","length":3,`+
		`"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a","fileUrl":"https://school.example/%s"}`, p("attachment display"), p("attachment description"), p("attachment URL"))
	sub := `{"objectType":"SubStatement","actor":` + mbox("sub actor") + `,"verb":` + verb("sub verb") + `,"object":` + activity("sub object") +
		`,"result":{"response":"` + p("sub response") + `","extensions":` + extensions("sub result extension") + `},"context":{"instructor":` + hashed("sub instructor") +
		`,"platform":"` + p("sub platform") + `","contextActivities":{"other":[` + activity("sub other") + `]},"extensions":` + extensions("sub context extension") + `}}`
	object, only := sub, ""
	if strings.HasPrefix(prefix, "activity") { // what only a statement about an activity has
		object, only = activity("object"), `"platform":"`+p("platform")+`","revision":"`+p("revision")+`",`
	}
	return `{"actor":` + group("actor", account("member"), openid("openid member")) + `,"verb":` + verb("verb") + `,"object":` + object +
		`,"result":{"response":"` + p("response") + `","extensions":` + extensions("result extension") + `},"context":{` + only + `"instructor":` + mbox("instructor") +
		`,"team":` + group("team", hashed("team member")) +
		`,"contextActivities":{"parent":[` + activity("parent") + `],"grouping":[` + activity("grouping") + `]},"extensions":` + extensions("context extension") +
		`,"contextAgents":[{"objectType":"contextAgent","agent":` + account("context agent") + `}],"contextGroups":[{"objectType":"contextGroup","group":` +
		group("context group", mbox("context member")) + `}]},"attachments":[` + attachment + `],"authority":` + mbox("authority") + `}`
}

func TestNothingOfAStatementInClear(t *testing.T) {
	w := newWorld(t)
	k := tokens{}
	w.mustPost(k.everywhere("sub-statement "), k.everywhere("activity "))
	if len(k) < 150 {
		t.Fatalf("%d tokens", len(k))
	}
	activity := `{"actor":{"mbox":"mailto:` + k.put("actor") + `@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/user/` +
		k.put("object") + `","definition":{"name":{"en":"` + k.put("definition") + `"}}},"context":{"registration":"` + uuid.NewString() + `"}}`
	agent := `{"actor":{"account":{"homePage":"https://school.example","name":"` + k.put("account") + `"}},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},` +
		`"object":{"objectType":"Agent","mbox":"mailto:` + k.put("object agent") + `@example.org"}}`
	nobody := `{"actor":{"objectType":"Group","name":"` + k.put("nameless group") + `","member":[{"mbox":"mailto:` + k.put("its member") +
		`@example.org"}]},"verb":{"id":"http://adlnet.gov/expapi/verbs/met"},"object":{"id":"https://school.example/a"}}`
	w.mustPost(activity, agent, nobody)
	w.hidden(k)
}

// With the scope define the activities stand in the catalogue, and nothing else does.
func TestDefine(t *testing.T) {
	w := newWorld(t)
	secret, shown := tokens{}, tokens{}
	text := `{"actor":{"mbox":"mailto:` + secret.put("actor") + `@example.org"},"verb":{"id":"http://adlnet.gov/expapi/verbs/met","display":{"en":"` + secret.put("display") +
		`"}},"object":{"id":"https://school.example/` + shown.put("object") + `","definition":{"name":{"en":"` + shown.put("definition") + `"}}},"result":{"response":"` +
		secret.put("response") + `"},"context":{"contextActivities":{"parent":{"id":"https://school.example/` + shown.put("parent") + `"}}}}`
	if _, err := w.post(caller(one), true, xapi.V1, text); err != nil {
		t.Fatal(err)
	}
	w.hidden(secret)
	catalogue := w.dump("activity")
	for place, token := range shown {
		if !strings.Contains(catalogue, token) {
			t.Errorf("the %s is not in the catalogue: %s", place, catalogue)
		}
	}
	equal(t, "of the tenant", w.count("SELECT count(*) FROM activity WHERE tenant_id = 1"), 2)
}

func TestNothingOfARecordInClear(t *testing.T) {
	w := newWorld(t)
	s := w.connect(one, "school", head+streamText("attempt")+strings.Replace(streamText("change"), "/catalogue/", "/user/", 2))
	k := tokens{}
	full := func(prefix string, id int, more string) contract.Record {
		r := record(fmt.Sprintf(`{"id":%d,"pupil":"%s","score":50,"note":"%s"%s}`, id, k.put(prefix+"pupil"), k.put(prefix+"note"), more), k.put(prefix+"key"))
		r.Position = "file:1"
		r.Subject = k.put(prefix + "subject")
		return r
	}
	bad := contract.Bad{Code: "bad_record", Position: "file:2", Reason: "ragged", Raw: []byte(k.put("raw")), Key: []byte(k.put("bad key"))}
	page := contract.Page{Cursor: []byte(k.put("cursor")), Bad: []contract.Bad{bad}, Records: []contract.Record{
		full("good ", 1, ""), full("invalid ", 2, `,"verb":"`+k.put("not an IRI")+` "`), full("unmapped ", 3, `,"score":"`+k.put("not a number")+`"`),
	}}
	for _, stream := range []string{"attempt", "change"} {
		s.send(stream, page)
		equal(t, "dead", w.count("SELECT count(*) FROM dead_letter WHERE stream = $1", stream), 3)
	}
	gone := page.Records[0]
	gone.Deleted, gone.JSON = true, nil
	s.page("change", gone)
	w.hidden(k)
}
