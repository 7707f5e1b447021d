#include "protocol.h"

#include "../board/board.h"
#ifdef MN_BUNDLE
#include "bundle.h"
#endif
#include "crc32.h"
#include "micronas/kernels.h"
#include "program.h"
#include "text.h"

#ifndef MN_FLAGS
#define MN_FLAGS "unknown"
#endif
#ifndef MN_COMPILER
#define STRINGIFY(x) #x
#define NUMBER(x) STRINGIFY(x)
#define MN_COMPILER "gcc-" NUMBER(__GNUC__) "." NUMBER(__GNUC_MINOR__) "." NUMBER(__GNUC_PATCHLEVEL__)
#endif

/* Keeps one run, at 20 cycles a step, shorter than the watchdog. */
#ifndef MN_MOST_STEPS
#define MN_MOST_STEPS 150000000
#endif

#ifndef MN_LONGEST_LINE
#define MN_LONGEST_LINE 160
#endif

enum { LONGEST_LINE = MN_LONGEST_LINE, MOST_REPEATS = 32 };

typedef struct {
    const char *rest;  /* what is not parsed yet */
    const char *error; /* NULL while all is well */
    mn_line reply;
} request;

static struct {
    char text[LONGEST_LINE + 1];
    size_t length;
    int too_long, garbled;
} incoming;

/* The operators of a network, in order. */
static struct {
    mn_node nodes[MN_MOST_NODES];
    size_t count;
} program;

static void fail(request *r, const char *code) { r->error = r->error == NULL ? code : r->error; }

static int failed(const request *r) { return r->error != NULL; }

static void take(request *r, const char *literal) {
    if (!failed(r) && !mn_take(&r->rest, literal)) {
        fail(r, "syntax");
    }
}

static int32_t take_number(request *r, int32_t lowest, int32_t highest) {
    int32_t value = 0;
    if (!failed(r) && !mn_take_number(&r->rest, lowest, highest, &value)) {
        fail(r, "syntax");
    }
    return value;
}

static mn_op_spec take_spec(request *r) {
    mn_op_spec spec = {.kind = MN_KINDS};
    take(r, " ");
    if (!failed(r)) {
        const mn_spec_status status = mn_parse_op_spec(&r->rest, &spec);
        if (status != MN_SPEC_OK) {
            fail(r, status == MN_SPEC_SHAPE ? "shape" : "syntax");
        } else if (mn_steps(&spec) > MN_MOST_STEPS) {
            fail(r, "slow");
        }
    }
    return spec;
}

static void take_end(request *r) {
    if (!failed(r) && *r->rest != '\0') {
        fail(r, "syntax");
    }
}

static void check_made(request *r, mn_making made) {
    if (made != MN_MADE) {
        fail(r, made == MN_NO_RAM ? "ram" : "flash");
    }
}

static mn_arena arena(void) {
    mn_arena whole;
    whole.start = mn_board_arena(&whole.bytes);
    return whole;
}

static void put_field(request *r, const char *name, const char *value) {
    mn_put(&r->reply, " ");
    mn_put(&r->reply, name);
    mn_put(&r->reply, "=");
    mn_put(&r->reply, value);
}

static void put_number_field(request *r, const char *name, uint64_t value) {
    put_field(r, name, "");
    mn_put_number(&r->reply, value);
}

static void measure(request *r, const mn_node *nodes, size_t count, int32_t repeats) {
    int8_t *const memory = arena().start;
    put_field(r, "cycles", "");
    /* One run that does not count fills caches and prefetch buffers. */
    mn_run_nodes(nodes, count, memory);
    for (int32_t i = 0; i < repeats; i++) {
        mn_board_feed_watchdog();
        mn_board_start_counting();
        mn_run_nodes(nodes, count, memory);
        const uint64_t cycles = mn_board_stop_counting();
        mn_put(&r->reply, i == 0 ? "" : ",");
        mn_put_number(&r->reply, cycles);
    }
}

static void hello(request *r) {
    const mn_board *board = mn_board_info();
    take_end(r);
    put_number_field(r, "protocol", 1);
    put_field(r, "board", board->name);
    put_field(r, "cpu", board->cpu);
    put_number_field(r, "clock_hz", board->clock_hz);
    put_field(r, "counter", board->counter);
    put_number_field(r, "counter_hz", board->counter_hz);
    put_field(r, "backend", mn_backend());
    put_field(r, "compiler", MN_COMPILER);
    put_field(r, "flags", MN_FLAGS);
    put_number_field(r, "arena_bytes", arena().bytes);
    put_number_field(r, "nodes", MN_MOST_NODES);
    put_number_field(r, "line", LONGEST_LINE);
}

static void op(request *r) {
    mn_node single;
    const mn_op_spec spec = take_spec(r);
    take(r, " n=");
    const int32_t repeats = take_number(r, 1, MOST_REPEATS);
    take_end(r);
    if (!failed(r)) {
        check_made(r, mn_make_single_node(&spec, arena().bytes, &single));
    }
    if (!failed(r)) {
        measure(r, &single, 1, repeats);
    }
}

static void check(request *r) {
    const mn_op_spec spec = take_spec(r);
    uint32_t crc = 0;
    take(r, " seed=");
    const int32_t seed = take_number(r, 0, INT32_MAX);
    take_end(r);
    if (!failed(r)) {
        check_made(r, mn_check_operator(&spec, (uint32_t)seed, arena(), &crc));
    }
    put_field(r, "crc", "");
    mn_put_hex(&r->reply, crc);
}

static void net(request *r) {
    take_end(r);
    if (!failed(r)) {
        program.count = 0;
    }
    put_number_field(r, "nodes", program.count);
}

static void node(request *r) {
    mn_places places = {0, 0, 0};
    const mn_op_spec spec = take_spec(r);
    take(r, " in=");
    places.input1 = take_number(r, 0, INT32_MAX);
    if (spec.kind == MN_ADD) {
        take(r, ",");
        places.input2 = take_number(r, 0, INT32_MAX);
    }
    take(r, " out=");
    places.output = take_number(r, 0, INT32_MAX);
    take_end(r);
    if (!failed(r) && program.count == MN_MOST_NODES) {
        fail(r, "full");
    }
    if (!failed(r)) {
        check_made(r, mn_make_node(&spec, places, arena().bytes, &program.nodes[program.count]));
    }
    program.count += !failed(r);
    put_number_field(r, "nodes", program.count);
}

static void run(request *r) {
    take(r, " n=");
    const int32_t repeats = take_number(r, 1, MOST_REPEATS);
    take_end(r);
    if (!failed(r) && program.count == 0) {
        fail(r, "empty");
    }
    if (!failed(r)) {
        measure(r, program.nodes, program.count, repeats);
    }
}

#ifdef MN_BUNDLE
static void model(request *r) {
    const mn_bundle_info *info = mn_bundle_about();
    take_end(r);
    put_field(r, "id", info->id);
    put_number_field(r, "values", (uint64_t)info->values);
    put_number_field(r, "classes", (uint64_t)info->classes);
    put_number_field(r, "operators", (uint64_t)info->operators);
    put_number_field(r, "planned_bytes", (uint64_t)info->planned_bytes);
}

/* Bytes of the window's floats (little endian) from a place on. */
static void window(request *r) {
    const int32_t bytes = 4 * mn_bundle_about()->values;
    take(r, " at=");
    const int32_t at = take_number(r, 0, bytes - 1);
    take(r, " ");
    if (failed(r)) {
        return;
    }
    const mn_arena memory = arena();
    if (memory.bytes < mn_bundle_memory()) {
        fail(r, "ram");
        return;
    }
    const int32_t count = mn_take_base64(&r->rest, (uint8_t *)memory.start + at, bytes - at);
    take_end(r);
    put_number_field(r, "next", (uint64_t)(at + count));
}

/* The window that an emulator has put into memory: its serial port would take long for as many. */
static void fetch(request *r) {
    take(r, " window=");
    const int32_t number = take_number(r, 0, INT32_MAX);
    take_end(r);
    if (!failed(r) && !mn_bundle_fetch(arena(), number)) {
        fail(r, "ram");
    }
}

static void put_bytes_field(request *r, const char *name, const int8_t *bytes, int32_t count) {
    put_field(r, name, "");
    for (int32_t i = 0; i < count; i++) {
        mn_put_byte(&r->reply, (uint8_t)bytes[i]);
    }
}

static void predict(request *r) {
    mn_bundle_prediction found;
    take(r, " seed=");
    const int32_t seed = take_number(r, 0, INT32_MAX);
    take_end(r);
    if (failed(r)) {
        return;
    }
    mn_bundle_predict(arena(), (uint32_t)seed, &found);
    put_field(r, "input", "");
    mn_put_hex(&r->reply, found.input_crc);
    put_bytes_field(r, "scores", found.scores, mn_bundle_about()->classes);
    put_bytes_field(r, "again", found.scores_int8, mn_bundle_about()->classes);
    put_number_field(r, "class", (uint64_t)found.best);
    put_number_field(r, "quantise", found.quantise_counts);
    put_number_field(r, "cycles", found.counts);
    put_number_field(r, "high", (uint64_t)found.high_water_bytes);
}

static void trace(request *r) {
    take(r, " first=");
    const int32_t first = take_number(r, 0, mn_bundle_about()->operators - 1);
    take(r, " n=");
    const int32_t count = take_number(r, 1, MOST_REPEATS);
    take_end(r);
    if (!failed(r) && count > mn_bundle_about()->operators - first) {
        fail(r, "syntax");
    }
    if (failed(r)) {
        return;
    }
    mn_bundle_trace(arena());
    put_field(r, "cycles", "");
    for (int32_t i = first; i < first + count; i++) {
        mn_put(&r->reply, i == first ? "" : ",");
        mn_put_number(&r->reply, mn_bundle_traced(i));
    }
}
#endif

static const struct {
    const char *name;
    void (*carry_out)(request *r);
} verbs[] = {
    {"HELLO", hello}, {"OP", op}, {"CHECK", check}, {"NET", net}, {"NODE", node}, {"RUN", run},
#ifdef MN_BUNDLE
    {"MODEL", model}, {"WINDOW", window}, {"FETCH", fetch}, {"PREDICT", predict}, {"TRACE", trace},
#endif
};

static void dispatch(request *r) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (mn_take_word(&r->rest, verbs[i].name)) {
            verbs[i].carry_out(r);
            return;
        }
    }
    fail(r, "verb");
}

/* Checks and removes the checksum at the end of the line. */
static void take_checksum(request *r, char *text, size_t length) {
    const size_t checksum = sizeof "*00000000" - 1, body = length > checksum ? length - checksum : 0;
    const char *at = text + body;
    uint32_t crc = 0;
    if (!mn_take(&at, "*") || !mn_take_hex(&at, &crc) || *at != '\0' || crc != mn_crc32(text, body)) {
        fail(r, "crc");
        return;
    }
    text[body] = '\0';
}

static void send(int32_t id, const request *r) {
    mn_line line = {.length = 0};
    mn_put(&line, "MN1 ");
    if (id < 0) {
        mn_put(&line, "-");
    } else {
        mn_put_number(&line, (uint64_t)id);
    }
    mn_put(&line, failed(r) ? " ERR " : " OK");
    mn_put(&line, failed(r) ? r->error : r->reply.text);
    const uint32_t crc = mn_crc32(line.text, line.length);
    mn_put(&line, "*");
    mn_put_hex(&line, crc);
    mn_put(&line, "\n");
    mn_board_write(line.text, line.length);
}

static void answer(void) {
    static request r;
    int32_t id = -1;
    r = (request){.rest = incoming.text};
    if (incoming.too_long || incoming.garbled) {
        fail(&r, incoming.too_long ? "long" : "garbled");
    } else {
        take_checksum(&r, incoming.text, incoming.length);
    }
    if (!failed(&r) && !mn_take(&r.rest, "MN1 ")) {
        fail(&r, "version");
    }
    if (!failed(&r) && (!mn_take_number(&r.rest, 0, INT32_MAX, &id) || !mn_take(&r.rest, " "))) {
        fail(&r, "syntax");
    }
    if (!failed(&r)) {
        dispatch(&r);
    }
    send(id, &r);
}

void mn_protocol_receive(char byte) {
    if (byte == '\n') {
        if (incoming.length > 0 || incoming.too_long || incoming.garbled) {
            incoming.text[incoming.length] = '\0';
            answer();
        }
        incoming.length = 0;
        incoming.too_long = incoming.garbled = 0;
    } else if (byte == '\r') {
        return;
    } else if (incoming.length == LONGEST_LINE) {
        incoming.too_long = 1;
    } else if (byte < ' ' || byte > '~') {
        incoming.garbled = 1;
    } else {
        incoming.text[incoming.length++] = byte;
    }
}
