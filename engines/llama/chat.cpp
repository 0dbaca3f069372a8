/*
 * chat.cpp - template, marks, tokens.
 *
 *     messages -> Jinja values, contents marked -> template -> text + marks -> tokens
 *
 * llama.cpp's Jinja carries a mark on every piece of a string that came from input,
 * through concatenation, trimming and splitting.  `common` throws the marks away when
 * it returns the text, so the template is executed here, on values prepared as
 * `common` prepares them.  Only contents are marked: roles are ours.
 *
 * The tokenizer, asked to read control tokens, reads them anywhere; so the special
 * tokens are found here and it gets the text between them.  That is also how it works
 * inside, and gives the same tokens (were the texts of two to overlap, the first would
 * count here, the longer one there).  The rule: a control token is recognised where
 * none of its bytes is marked.  User-defined tokens (runs of spaces, <table>) are not
 * control and are recognised everywhere, as the tokenizer does by itself.
 *
 * A template may lose marks: a filter that joins input with its own text returns a
 * string without.  So when a content holds the text of a control token, the template
 * is executed again with that text made harmless.  Both results must have the same
 * number of control tokens, or the conversation is refused.
 *
 * Text is looked at only if it can fit: see CHAT_BYTES_PER_TOKEN.  And each message
 * costs the template a token at least.  SentencePiece writes a character that is in none
 * of its tokens byte by byte, in time that grows with the square of their number; so these
 * are counted first, and where they alone are too many, nothing else is done.
 */
#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <chat.h> /* common's; ours is "chat.h" */
#include <log.h>

extern "C" {
#include "chat.h"
}

namespace
{

/* --- special tokens --------------------------------------------------------- */

/* The texts of special tokens, as a tree of bytes. */
class special_tokens
{
  public:
    explicit special_tokens(const llama_vocab *v) : vocab(v)
    {
        int32_t n = llama_vocab_n_tokens(vocab);
        for (llama_token id = 0; id < n; id++)
            if (attr(id) & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED |
                            LLAMA_TOKEN_ATTR_UNKNOWN))
                add(llama_vocab_get_text(vocab, id), id);
    }

    llama_token_attr attr(llama_token id) const
    {
        return llama_vocab_get_attr(vocab, id);
    }

    bool is_control(llama_token id) const
    {
        return !(attr(id) & LLAMA_TOKEN_ATTR_USER_DEFINED);
    }

    /* Calls `with(id, length)` for each whose text stands at `at`, shortest first. */
    template <typename F> void each_at(const std::string &text, size_t at, F with) const
    {
        uint32_t node = 0;
        for (size_t i = at; i < text.size(); i++) {
            auto next = edges.find(edge(node, text[i]));
            if (next == edges.end())
                return;
            node = next->second;
            if (tokens[node] != LLAMA_TOKEN_NULL)
                with(tokens[node], i + 1 - at);
        }
    }

  private:
    static uint64_t edge(uint32_t node, char byte)
    {
        return (uint64_t)node << 8 | (unsigned char)byte;
    }

    void add(const char *text, llama_token id)
    {
        uint32_t node = 0;
        for (const char *c = text; *c; c++) {
            auto [at, is_new] = edges.try_emplace(edge(node, *c), (uint32_t)tokens.size());
            if (is_new)
                tokens.push_back(LLAMA_TOKEN_NULL);
            node = at->second;
        }
        if (node != 0 && tokens[node] == LLAMA_TOKEN_NULL)
            tokens[node] = id;
    }

    const llama_vocab *vocab;
    std::unordered_map<uint64_t, uint32_t> edges;
    std::vector<llama_token> tokens{ LLAMA_TOKEN_NULL }; /* by node; the root is none */
};

/* --- characters that no token has ------------------------------------------- */

/* The character at `at`, and how many bytes it has; of what is no UTF-8, a byte. */
uint32_t character_at(const char *bytes, size_t len, size_t *ret_len)
{
    auto first = (unsigned char)bytes[0];
    size_t n = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    uint32_t c = n == 1 ? first : first & (0x7F >> n);
    *ret_len = n = std::min(n, len);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)bytes[i] & 0x3F);
    return c;
}

class alphabet
{
  public:
    explicit alphabet(const llama_vocab *vocab)
        : spelled(llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_SPM)
    {
        int32_t n = spelled ? llama_vocab_n_tokens(vocab) : 0;
        for (llama_token id = 0; id < n; id++)
            if (!(llama_vocab_get_attr(vocab, id) & LLAMA_TOKEN_ATTR_BYTE))
                add(llama_vocab_get_text(vocab, id));
        if (characters.count(SPACE_SIGN))
            characters.insert(' ');
    }

    /* How many bytes of [at, at + len) will be tokens of their own, at least? */
    size_t spelled_out(const char *at, size_t len) const
    {
        size_t bytes = 0;
        for (size_t i = 0, n; spelled && i < len; i += n)
            if (!characters.count(character_at(at + i, len - i, &n)))
                bytes += n;
        return bytes;
    }

  private:
    static constexpr uint32_t SPACE_SIGN = 0x2581; /* what stands for a space in tokens */

    void add(const char *text)
    {
        size_t len = strlen(text);
        for (size_t i = 0, n; i < len; i += n)
            characters.insert(character_at(text + i, len - i, &n));
    }

    bool spelled;
    std::unordered_set<uint32_t> characters;
};

/* --- text with marks -------------------------------------------------------- */

struct marked_text {
    std::string bytes;
    std::vector<bool> input; /* for each byte: did a message bring it? */

    bool any_input(size_t at, size_t len) const
    {
        return std::find(input.begin() + (ptrdiff_t)at, input.begin() + (ptrdiff_t)(at + len),
                         true) != input.begin() + (ptrdiff_t)(at + len);
    }

    void drop_front(size_t n)
    {
        bytes.erase(0, n);
        input.erase(input.begin(), input.begin() + (ptrdiff_t)n);
    }

    void drop_back(size_t n)
    {
        bytes.resize(bytes.size() - n);
        input.resize(bytes.size());
    }
};

/* A special token that is recognised, or (id NULL) none. */
struct found {
    llama_token id = LLAMA_TOKEN_NULL;
    size_t len = 0;
};

/* The longest that may be recognised at `at`. */
found special_at(const special_tokens &specials, const marked_text &text, size_t at)
{
    found longest;
    specials.each_at(text.bytes, at, [&](llama_token id, size_t len) {
        if (!specials.is_control(id) || !text.any_input(at, len))
            longest = { id, len };
    });
    return longest;
}

size_t count_control(const special_tokens &specials, const marked_text &text)
{
    size_t n = 0;
    for (size_t at = 0; at < text.bytes.size();) {
        found f = special_at(specials, text, at);
        n += f.len && specials.is_control(f.id);
        at += f.len ? f.len : 1;
    }
    return n;
}

/* Replace the first byte of every control token's text; false if there is none. */
bool make_harmless(const special_tokens &specials, std::string &content)
{
    bool changed = false;
    for (size_t at = 0; at < content.size(); at++) {
        bool control = false;
        specials.each_at(content, at,
                         [&](llama_token id, size_t) { control |= specials.is_control(id); });
        if (control) {
            content[at] = '\x01';
            changed = true;
        }
    }
    return changed;
}

/* --- text to tokens --------------------------------------------------------- */

bool is_space(char c)
{
    return isspace((unsigned char)c);
}

class tokenizer
{
  public:
    tokenizer(const llama_vocab *v, const special_tokens &s, const alphabet &a, size_t most_tokens)
        : vocab(v), specials(s), letters(a), most(most_tokens)
    {
    }

    /* That there would be so many, at least, and nothing was done. */
    size_t too_many = 0;

    std::vector<llama_token> tokenize(const marked_text &text)
    {
        if (llama_vocab_get_add_bos(vocab))
            tokens.push_back(llama_vocab_bos(vocab));
        size_t plain = 0; /* where the text begins that no special token ended yet */
        for (size_t at = 0; at < text.bytes.size();) {
            found f = special_at(specials, text, at);
            if (!f.len) {
                at++;
                continue;
            }
            if (!add_plain(text.bytes, plain, at))
                return {};
            tokens.push_back(f.id);
            at += f.len;
            bool swallows = specials.attr(f.id) & LLAMA_TOKEN_ATTR_RSTRIP;
            while (swallows && at < text.bytes.size() && is_space(text.bytes[at]))
                at++;
            plain = at;
        }
        if (!add_plain(text.bytes, plain, text.bytes.size()))
            return {};
        if (llama_vocab_get_add_eos(vocab))
            tokens.push_back(llama_vocab_eos(vocab));
        return std::move(tokens);
    }

  private:
    static constexpr size_t SPELLED_HARMLESS = 32768; /* a fifth of a second */

    /* There is no special token in bytes[begin, end), except control in input.  False: there
     * are too many. */
    bool add_plain(const std::string &bytes, size_t begin, size_t end)
    {
        if (begin == end)
            return true;
        size_t spelled = letters.spelled_out(bytes.data() + begin, end - begin);
        if (spelled >= SPELLED_HARMLESS && tokens.size() + spelled >= most) {
            too_many = tokens.size() + spelled;
            return false;
        }
        auto len = (int32_t)(end - begin);
        size_t before = tokens.size();
        tokens.resize(before + (size_t)len + 16);
        int32_t n = tokenize_at(bytes.data() + begin, len, before);
        if (n < 0) {
            tokens.resize(before + (size_t) - (int64_t)n);
            n = tokenize_at(bytes.data() + begin, len, before);
        }
        if (n < 0)
            throw std::runtime_error("the tokenizer contradicts itself");
        tokens.resize(before + (size_t)n);
        return true;
    }

    int32_t tokenize_at(const char *text, int32_t len, size_t at)
    {
        return llama_tokenize(vocab, text, len, tokens.data() + at, (int32_t)(tokens.size() - at),
                              false, false);
    }

    const llama_vocab *vocab;
    const special_tokens &specials;
    const alphabet &letters;
    size_t most;
    std::vector<llama_token> tokens;
};

/* --- messages to text ------------------------------------------------------- */

struct plain_message {
    const char *role;
    std::string content;
};

jinja::value text_value(const std::string &text)
{
    return jinja::mk_val<jinja::value_string>(text);
}

jinja::value content_value(const std::string &content)
{
    auto v = jinja::mk_val<jinja::value_string>(content);
    v->mark_input();
    return v;
}

/* [{"type": "text", "text": content}] */
jinja::value typed_value(const std::string &content)
{
    auto part = jinja::mk_val<jinja::value_object>();
    part->insert("type", text_value("text"));
    part->insert("text", content_value(content));
    auto parts = jinja::mk_val<jinja::value_array>();
    parts->push_back(part);
    return parts;
}

std::string trimmed(const std::string &s)
{
    size_t begin = 0, end = s.size();
    while (begin < end && is_space(s[begin]))
        begin++;
    while (end > begin && is_space(s[end - 1]))
        end--;
    return s.substr(begin, end - begin);
}

std::string date(const char *format)
{
    time_t now = time(nullptr);
    struct tm local;
    char text[64];
    localtime_r(&now, &local);
    return std::string(text, strftime(text, sizeof text, format, &local));
}

bool contains(const std::string &s, const char *what)
{
    return s.find(what) != std::string::npos;
}

/* --- what the model says -------------------------------------------------------- */

/* `common`'s parser, and where its verdict may change. */
class reading
{
  public:
    reading(const llama_vocab *vocab, const common_chat_templates *templates)
    {
        try {
            common_chat_params p = common_chat_templates_apply(templates, a_question());
            params = common_chat_parser_params(p);
            params.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
            params.parser.load(p.parser);
            if (p.supports_thinking && separates(p))
                add_markers(vocab, p);
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) { /* nothing is known of how it answers */
            markers.clear();
        }
    }

    common_chat_msg read(const std::string &text, bool whole) const
    {
        return common_chat_parse(text, !whole, params);
    }

    std::vector<std::string> markers;
    std::unordered_set<llama_token> tokens; /* control tokens among them */

  private:
    static common_chat_templates_inputs a_question()
    {
        common_chat_msg message;
        message.role = "user";
        message.content = "x";
        common_chat_templates_inputs in;
        in.messages.push_back(message);
        in.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
        in.enable_thinking = false;
        return in;
    }

    bool is_answer(const std::string &text) const
    {
        try {
            return read(text, true).content == text;
        } catch (const std::exception &) {
            return false;
        }
    }

    /* Not if the prompt ends behind the thinking: then tags are text. */
    bool separates(const common_chat_params &p) const
    {
        std::string end = p.thinking_end_tags.empty() ? "" : p.thinking_end_tags.front();
        return !is_answer("a") || !is_answer("a" + end + "b") ||
               !is_answer(p.thinking_start_tag + "a" + end + "b");
    }

    void add_marker(const llama_vocab *vocab, const std::string &marker)
    {
        bool is_known = std::find(markers.begin(), markers.end(), marker) != markers.end();
        if (marker.empty() || marker.size() > STOP_BYTES_MAX || is_known ||
            markers.size() == CHAT_MARKERS_MAX)
            return;
        markers.push_back(marker);
        std::vector<llama_token> ids = common_tokenize(vocab, marker, false, true);
        if (ids.size() == 1)
            tokens.insert(ids[0]);
    }

    void add_markers(const llama_vocab *vocab, const common_chat_params &p)
    {
        for (const auto &tag : p.thinking_end_tags)
            add_marker(vocab, tag);
        add_marker(vocab, p.thinking_start_tag);
        for (const auto &token : p.preserved_tokens)
            add_marker(vocab, token);
    }

    common_chat_parser_params params;
};

/* What `common` does for certain templates before it executes them. */
struct habits {
    bool typed; /* contents as lists of parts */
    bool typed_unless_user;
    bool merges_system; /* a system message goes in front of the next one */
    bool trims;

    explicit habits(const common_chat_template &t)
    {
        auto caps = t.original_caps();
        typed = caps.supports_typed_content && !caps.supports_string_content;
        typed_unless_user = contains(t.source(), "[SYSTEM_PROMPT]") &&
                            contains(t.source(), "[TOOL_CALLS]") &&
                            contains(t.source(), "[ARGS]") && !contains(t.source(), "[CALL_ID]");
        merges_system = !caps.supports_system_role;
        trims =
            contains(t.source(), "You have access to the following functions in JSONSchema format");
    }
};

} // namespace

struct chat {
    const llama_vocab *vocab; /* borrowed */
    std::unique_ptr<common_chat_template> model_template;
    bool substitute;
    bool add_bos, add_eos; /* the tokenizer adds them: not the template, too */
    habits habit;
    special_tokens specials;
    alphabet letters;
    reading answers;

    chat(const llama_vocab *v, std::unique_ptr<common_chat_template> t,
         const common_chat_templates *templates, bool is_substitute)
        : vocab(v), model_template(std::move(t)), substitute(is_substitute),
          add_bos(llama_vocab_get_add_bos(v)), add_eos(llama_vocab_get_add_eos(v)),
          habit(*model_template), specials(v), letters(v), answers(v, templates)
    {
    }

    marked_text render(std::vector<plain_message> messages) const;
    jinja::value message_value(const plain_message &m) const;
};

jinja::value chat::message_value(const plain_message &m) const
{
    bool typed = habit.typed || (habit.typed_unless_user && strcmp(m.role, "user") != 0);
    auto v = jinja::mk_val<jinja::value_object>();
    v->insert("role", text_value(m.role));
    v->insert("content", typed ? typed_value(m.content) : content_value(m.content));
    return v;
}

static void merge_system(std::vector<plain_message> &messages)
{
    if (strcmp(messages.front().role, "system") != 0)
        return;
    if (messages.size() > 1)
        messages[1].content = messages[0].content + "\n" + messages[1].content;
    messages.erase(messages.begin());
}

marked_text chat::render(std::vector<plain_message> messages) const
{
    if (habit.trims)
        for (auto &m : messages)
            m.content = trimmed(m.content);
    if (habit.merges_system)
        merge_system(messages);
    auto list = jinja::mk_val<jinja::value_array>();
    for (const auto &m : messages)
        list->push_back(message_value(m));

    jinja::context ctx(model_template->source());
    ctx.set_val("messages", list);
    ctx.set_val("bos_token", text_value(model_template->bos_token()));
    ctx.set_val("eos_token", text_value(model_template->eos_token()));
    ctx.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(false));
    ctx.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
    ctx.set_val("datetime", text_value(date("%b %d %Y")));
    ctx.set_val("date_string", text_value(date("%d %b %Y")));

    jinja::runtime runtime(ctx);
    auto parts = jinja::runtime::gather_string_parts(runtime.execute(model_template->prog));
    marked_text text;
    for (const auto &part : parts->val_str.parts) {
        text.bytes += part.val;
        text.input.resize(text.bytes.size(), part.is_input);
    }
    if (add_bos && string_starts_with(text.bytes, model_template->bos_token()))
        text.drop_front(model_template->bos_token().size());
    if (add_eos && string_ends_with(text.bytes, model_template->eos_token()))
        text.drop_back(model_template->eos_token().size());
    return text;
}

/* --- the C side -------------------------------------------------------------- */

static std::string piece_of(const llama_vocab *vocab, llama_token token)
{
    return token == LLAMA_TOKEN_NULL ? std::string() : common_token_to_piece(vocab, token, true);
}

enum err chat_new(const struct llama_model *model, const char *source, struct chat **ret,
                  struct error *error)
{
    const llama_vocab *vocab = llama_model_get_vocab(model);
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE)
        return fail(error, ERR_CONFIG, "the model has no vocabulary");
    try {
        common_log_set_verbosity_thold(-1); /* it would log templates */
        auto templates = common_chat_templates_init(model, source ? source : "");
        auto t = std::make_unique<common_chat_template>(
            common_chat_templates_source(templates.get()), piece_of(vocab, llama_vocab_bos(vocab)),
            piece_of(vocab, llama_vocab_eos(vocab)));
        bool substitute = !common_chat_templates_was_explicit(templates.get());
        *ret = new chat(vocab, std::move(t), templates.get(), substitute);
        return OK;
    } catch (const std::bad_alloc &) {
        return fail_nomem(error);
    } catch (const std::exception &) { /* what() quotes the template, in several lines */
        return fail(error, ERR_CONFIG, "the model's chat template can't be read");
    }
}

void chat_free(struct chat *chat)
{
    delete chat;
}

bool chat_is_substitute(const struct chat *chat)
{
    return chat->substitute;
}

static enum err refuse_length(const char *about, size_t tokens, uint32_t n_ctx, struct error *error)
{
    return fail(error, ERR_INVALID_REQUEST,
                "the prompt has %s%zu tokens; this model's context holds %u, and the answer needs "
                "at least one of them",
                about, tokens, n_ctx);
}

static enum err refuse_bytes(size_t bytes, size_t most, struct error *error)
{
    return fail(error, ERR_INVALID_REQUEST,
                "the prompt has %zu bytes; on this machine at most %zu can be read", bytes, most);
}

static enum err check_size(const struct message *messages, size_t n, uint32_t n_ctx,
                           size_t most_bytes, struct error *error)
{
    if (n >= n_ctx)
        return fail(
            error, ERR_INVALID_REQUEST,
            "there are %zu messages; this model's context holds %u tokens, and each message "
            "needs at least one",
            n, n_ctx);
    size_t bytes = 0, most = chat_bytes_max(n_ctx);
    for (size_t i = 0; i < n; i++)
        bytes += messages[i].content.len;
    if (bytes > most)
        return fail(
            error, ERR_INVALID_REQUEST,
            "the messages have %zu bytes; this model's context of %u tokens holds at most %zu",
            bytes, n_ctx, most);
    if (bytes > most_bytes)
        return refuse_bytes(bytes, most_bytes, error);
    return OK;
}

/* Would the same conversation without control tokens in it have as many? */
static bool marks_are_kept(const struct chat *chat, std::vector<plain_message> messages,
                           const marked_text &text)
{
    bool changed = false;
    for (auto &m : messages)
        changed |= make_harmless(chat->specials, m.content);
    return !changed || count_control(chat->specials, text) ==
                           count_control(chat->specials, chat->render(std::move(messages)));
}

static enum err to_tokens(const struct chat *chat, const struct message *messages, size_t n,
                          uint32_t n_ctx, size_t most_bytes, std::vector<llama_token> &tokens,
                          struct error *error)
{
    std::vector<plain_message> list;
    for (size_t i = 0; i < n; i++)
        list.push_back({ role_name(messages[i].role),
                         std::string(messages[i].content.at, messages[i].content.len) });
    marked_text text = chat->render(list);
    if (text.bytes.size() > most_bytes)
        return refuse_bytes(text.bytes.size(), most_bytes, error);
    if (!marks_are_kept(chat, std::move(list), text))
        return fail(error, ERR_INVALID_REQUEST,
                    "a message holds the text of a control token, and this model's chat template "
                    "would make it one");
    tokenizer t(chat->vocab, chat->specials, chat->letters, n_ctx);
    tokens = t.tokenize(text);
    if (t.too_many)
        return refuse_length("at least ", t.too_many, n_ctx, error);
    if (tokens.empty())
        return fail(error, ERR_INVALID_REQUEST, "the prompt has no tokens");
    if (tokens.size() >= n_ctx)
        return refuse_length("", tokens.size(), n_ctx, error);
    return OK;
}

/* What went wrong comes after the place in the template; what a template says for
 * people ("roles must alternate") comes last. */
static enum err refuse_template(const std::string &what, struct error *error)
{
    static const std::string marker = "Error: ", jinja = "Jinja Exception: ";
    size_t at = what.rfind(marker);
    at = at == std::string::npos ? 0 : at + marker.size();
    if (what.compare(at, jinja.size(), jinja) == 0)
        at += jinja.size();
    return fail(error, ERR_INVALID_REQUEST,
                "the model's chat template refuses the messages: %.200s", what.c_str() + at);
}

enum err chat_prompt(const struct chat *chat, const struct message *messages, size_t n,
                     uint32_t n_ctx, size_t most_bytes, llama_token **ret_tokens, size_t *ret_n,
                     struct error *error)
{
    most_bytes = std::min(most_bytes, (size_t)INT32_MAX / 2);
    enum err e = check_size(messages, n, n_ctx, most_bytes, error);
    if (e)
        return e;
    try {
        std::vector<llama_token> tokens;
        e = to_tokens(chat, messages, n, n_ctx, most_bytes, tokens, error);
        if (e)
            return e;
        auto *copy = (llama_token *)malloc(tokens.size() * sizeof(llama_token));
        if (!copy)
            return fail_nomem(error);
        memcpy(copy, tokens.data(), tokens.size() * sizeof(llama_token));
        *ret_tokens = copy;
        *ret_n = tokens.size();
        return OK;
    } catch (const std::bad_alloc &) {
        return fail_nomem(error);
    } catch (const std::exception &refusal) {
        return refuse_template(refusal.what(), error);
    }
}

/* --- answers ----------------------------------------------------------------- */

size_t chat_markers(const struct chat *chat, struct slice ret[CHAT_MARKERS_MAX])
{
    size_t n = 0;
    for (const auto &marker : chat->answers.markers)
        ret[n++] = { marker.data(), marker.size() };
    return n;
}

bool chat_is_marker(const struct chat *chat, llama_token token)
{
    return chat->answers.tokens.count(token) > 0;
}

static enum err put(struct buf *out, const std::string &text)
{
    buf_clear(out);
    return buf_append(out, text.data(), text.size());
}

enum err chat_separate(const struct chat *chat, struct slice text, bool whole, struct buf *thinking,
                       struct buf *answer)
{
    try {
        common_chat_msg said = chat->answers.read(std::string(text.at, text.len), whole);
        enum err e = put(thinking, said.reasoning_content);
        return e ? e : put(answer, said.content);
    } catch (const std::bad_alloc &) {
        return ERR_NO_MEMORY;
    } catch (const std::exception &) {
        return ERR_PROTOCOL;
    }
}
