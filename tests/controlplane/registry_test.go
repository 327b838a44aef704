package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// library is a registry on loopback of one test.
type library struct {
	*testing.T
	host     string
	handler  http.Handler
	mutex    sync.Mutex
	missing  string // a digest that it denies to have
	password string // of the user "puller"; everybody may pull if empty
}

func newLibrary(t *testing.T) *library {
	l := &library{T: t, handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.host = strings.TrimPrefix(server.URL, "http://")
	return l
}

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mutex.Lock()
	missing, password := l.missing, l.password
	l.mutex.Unlock()
	if user, given, _ := r.BasicAuth(); password != "" && (user != "puller" || given != password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="library"`)
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	if missing != "" && strings.HasSuffix(r.URL.Path, missing) {
		http.NotFound(w, r)
		return
	}
	l.handler.ServeHTTP(w, r)
}

func (l *library) lose(digest string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.missing = digest
}

func (l *library) protect(password string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.password = password
}

// image makes an image of two layers for an architecture.
func (l *library) image(architecture string) v1.Image {
	l.Helper()
	image, err := random.Image(1024, 2)
	must(l.T, err)
	config, err := image.ConfigFile()
	must(l.T, err)
	config = config.DeepCopy()
	config.Architecture, config.OS = architecture, "linux"
	image, err = mutate.ConfigFile(image, config)
	must(l.T, err)
	return image
}

// push puts an image there and returns its reference.
func (l *library) push(repository string, image v1.Image) string {
	l.Helper()
	reference, err := name.ParseReference(l.host + "/" + repository)
	must(l.T, err)
	must(l.T, remote.Write(reference, image))
	return reference.String()
}

// amd64 is the reference of a new image for amd64.
func (l *library) amd64() string {
	l.Helper()
	return l.push("app:v1", l.image("amd64"))
}

// both is the reference of a new index of an image for amd64 and one for arm64.
func (l *library) both() string {
	l.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: l.image(architecture),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	reference, err := name.ParseReference(l.host + "/both:v1")
	must(l.T, err)
	must(l.T, remote.WriteIndex(reference, index))
	return reference.String()
}
