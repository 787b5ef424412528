package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Long, for a busy machine: nothing waits for it in a good run.
const deadline = 40 * time.Second

// facts prints what a question to the cluster was answered, as the other clients' scripts do (see ../facts.py).
type facts struct {
	bootstrap, prefix string
	ctx               context.Context
	client            *kgo.Client
	admin             *kadm.Client
}

func (f *facts) name(name string) string { return f.prefix + name }

// with makes a client of its own.
func (f *facts) with(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(f.bootstrap, ",")...), kgo.ClientID("franz"), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.FetchMaxWait(50 * time.Millisecond), kgo.DisableClientMetrics(), kgo.UnknownTopicRetries(0),
	}, opts...)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return client
}

var (
	uuid    = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	millis  = regexp.MustCompile(`\b1[6-9]\d{11}\b`)
	unusual = regexp.MustCompile(`[^\x20-\x7e]`)
)

func (f *facts) normal(text string) string {
	text = strings.ReplaceAll(text, f.prefix, "")
	for i, broker := range strings.Split(f.bootstrap, ",") {
		text = strings.ReplaceAll(text, broker, fmt.Sprint("BROKER", i+1))
		text = strings.ReplaceAll(text, broker[strings.LastIndex(broker, ":")+1:], fmt.Sprint("PORT", i+1))
	}
	text = millis.ReplaceAllString(uuid.ReplaceAllString(text, "UUID"), "TIME")
	return unusual.ReplaceAllStringFunc(text, func(c string) string { return fmt.Sprintf("%q", c) })
}

// say prints a fact.
func (f *facts) say(name string, value any, without ...string) {
	text, isText := value.(string)
	if !isText {
		said, err := json.Marshal(plain(reflect.ValueOf(value), without))
		if err != nil {
			said = []byte("SCRIPT " + err.Error())
		}
		text = string(said)
	}
	fmt.Printf("%s\t%s\n", name, f.normal(text))
}

// ask prints what the question was answered, or its error: an error is an answer too. Fields named in `without` aren't facts.
func (f *facts) ask(name string, question func() (any, error), without ...string) {
	begun := time.Now()
	value, err := question()
	if err != nil {
		value = errorText(err)
	}
	if os.Getenv("FACTS_SLOW") != "" && time.Since(begun) > time.Second {
		fmt.Fprintf(os.Stderr, "%.1f s: %s\n", time.Since(begun).Seconds(), name)
	}
	f.say(name, value, without...)
}

// errorText is the broker's error with its words; what is no answer of the cluster is a fault of the script.
func errorText(err error) string {
	var broker *kerr.Error
	switch {
	case errors.As(err, &broker) && err.Error() == broker.Error():
		return broker.Message
	case errors.As(err, &broker):
		return broker.Message + " (" + strings.ReplaceAll(err.Error(), broker.Error(), "it") + ")"
	case errors.Is(err, context.DeadlineExceeded):
		return "SCRIPT " + err.Error()
	}
	return err.Error()
}

// until asks until the answer is as wanted, and gives the last answer.
func until[T any](question func() T, wanted func(T) bool) T {
	for end := time.Now().Add(deadline); ; {
		value := question()
		if wanted(value) || time.Now().After(end) {
			return value
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var errorType = reflect.TypeFor[error]()

// plain makes a result ready for JSON: errors by their name, bytes as text, ids and empty errors left out.
func plain(v reflect.Value, without []string) any {
	if !v.IsValid() || v.Kind() == reflect.Interface && v.IsNil() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	if v.Type().Implements(errorType) && v.Type() != reflect.TypeFor[kadm.TopicDetail]() {
		return errorText(v.Interface().(error))
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return plain(v.Elem(), without)
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || slices.Contains(without, field.Name) || field.Type == reflect.TypeFor[kadm.TopicID]() {
				continue
			}
			if (strings.HasSuffix(field.Name, "Err") || field.Name == "ErrMessage") && v.Field(i).IsZero() {
				continue
			}
			fields[field.Name] = plain(v.Field(i), without)
		}
		return fields
	case reflect.Map:
		entries := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			entries[fmt.Sprint(it.Key())] = plain(it.Value(), without)
		}
		return entries
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.Kind() == reflect.Slice && v.IsNil() {
				return nil
			}
			return fmt.Sprintf("%s", v.Interface())
		}
		items := []any{}
		for i := range v.Len() {
			items = append(items, plain(v.Index(i), without))
		}
		return items
	}
	if text, ok := v.Interface().(fmt.Stringer); ok {
		return text.String()
	}
	return v.Interface()
}
