package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/auth"
)

func TestFromRequest(t *testing.T) {
	key, secret := strings.Repeat("k", 20), "_"+strings.Repeat("S", 41)+"_"
	token := auth.Credential{Key: key, Secret: secret}.Token()
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
	basic := func(r *http.Request) { r.SetBasicAuth(key, secret) }
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	for name, test := range map[string]struct {
		url  string
		send func(*http.Request)
		want error
	}{
		"Basic":                       {"/xapi/statements", basic, nil},
		"Bearer":                      {"/api/v1/clients", header("Bearer " + token), nil},
		"bearer in lower case":        {"/api/v1/clients", header("bearer  " + token), nil},
		"a query with an agent":       {"/xapi/statements?agent=%7B%22name%22%3A%22lrshub_me%22%7D", basic, nil},
		"none":                        {"/xapi/statements", header(), auth.ErrNoCredential},
		"empty":                       {"/xapi/statements", header(""), auth.ErrMalformed},
		"two":                         {"/xapi/statements", header("Bearer "+token, "Bearer "+token), auth.ErrMalformed},
		"another scheme":              {"/xapi/statements", header("Digest " + token), auth.ErrMalformed},
		"Basic that is no base64":     {"/xapi/statements", header("Basic ***"), auth.ErrMalformed},
		"Bearer without token":        {"/xapi/statements", header("Bearer"), auth.ErrMalformed},
		"Bearer with another token":   {"/xapi/statements", header("Bearer ghp_abc"), auth.ErrMalformed},
		"Bearer with something after": {"/xapi/statements", header("Bearer " + token + "x"), auth.ErrMalformed},
		"Bearer with a JWT":           {"/xapi/statements", header("Bearer " + jwt), nil},
		"JWT that is too long":        {"/xapi/statements", header("Bearer " + jwt + strings.Repeat("x", 8<<10)), auth.ErrMalformed},
		"JWT without signature":       {"/xapi/statements", header("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."), auth.ErrMalformed},
		"JWT of four parts":           {"/xapi/statements", header("Bearer " + jwt + ".x"), auth.ErrMalformed},
		"JWT of two parts":            {"/xapi/statements", header("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0"), auth.ErrMalformed},
		"JWT with an empty part":      {"/xapi/statements", header("Bearer eyJhbGciOiJub25lIn0..x"), auth.ErrMalformed},
		"JWT with other characters":   {"/xapi/statements", header("Bearer " + jwt + "="), auth.ErrMalformed},
		"JWT in the query":            {"/xapi/statements?x=" + jwt, basic, auth.ErrInURL},
		"token in the query":          {"/xapi/statements?x=" + token, basic, auth.ErrInURL},
		"token in the query, encoded": {"/xapi/statements?x=%6c" + token[1:], basic, auth.ErrInURL},
		"token in the path":           {"/xapi/" + token, basic, auth.ErrInURL},
		"access_token":                {"/xapi/statements?access_token=x", basic, auth.ErrInURL},
		"Authorization in the query":  {"/xapi/statements?method=GET&Authorization=Basic", basic, auth.ErrInURL},
		"user in the URL":             {"http://" + key + ":" + secret + "@hub.example/xapi/statements", basic, auth.ErrInURL},
		"in the URL, no header":       {"/xapi/statements?access_token=" + token, header(), auth.ErrInURL},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, test.url, nil)
			r.Header.Del("Authorization")
			test.send(r)
			got, err := auth.FromRequest(r)
			want := auth.Presented{Key: key, Secret: secret}
			if strings.Contains(name, "JWT") {
				want = auth.Presented{Token: jwt}
			}
			if test.want != nil {
				want = auth.Presented{}
			}
			if err != test.want || got != want {
				t.Errorf("FromRequest = %s, %v; want %v", got, err, test.want)
			}
			if shown := fmt.Sprintf("%v %+v %#v %s", got, got, got, got.LogValue()); strings.Contains(shown, secret) || strings.Contains(shown, jwt) {
				t.Errorf("%s shows what is secret", shown)
			}
			if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), jwt)) {
				t.Error("the error has the token")
			}
		})
	}
}
