// Go's net/http behind the gate: who is asking?
//
// Run: go run . 8081
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"regexp"
	"time"
)

var userID = regexp.MustCompile(`^user_[A-Za-z0-9]+$`)

var errIdentity = errors.New("the gate did not write this identity header")

// signedInUser returns the Clerk id of the user, or nil when nobody is signed in.
func signedInUser(r *http.Request) (*string, error) {
	// Values, because Get returns the first of several, and no error.
	values := r.Header.Values("clerk_user_id")
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) != 1 || !userID.MatchString(values[0]) {
		return nil, errIdentity
	}
	return &values[0], nil
}

func who(w http.ResponseWriter, r *http.Request) {
	user, err := signedInUser(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]*string{"user": user})
}

func main() {
	server := &http.Server{
		Addr:              "127.0.0.1:" + os.Args[1],
		Handler:           http.HandlerFunc(who),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
