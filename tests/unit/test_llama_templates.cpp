/*
 * Promises of engines/llama/chat.cpp: for every template that llama.cpp knows of, a
 * conversation becomes the tokens that llama.cpp itself makes of it.
 *
 * In C++, because what it compares with is.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <chat.h>
#include <log.h>

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "llama/chat.h"

#include <cmocka.h>
}

struct line {
    enum role role;
    const char *content;
};
using conversation = std::vector<line>;

static const std::vector<conversation> conversations = {
    { { ROLE_USER, "Hello, world!" } },
    { { ROLE_SYSTEM, "Be brief.\nBe kind." }, { ROLE_USER, " what is 12 * 13?  " } },
    { { ROLE_USER, "a" }, { ROLE_ASSISTANT, "b" }, { ROLE_USER, "grüße 你好" } },
    { { ROLE_SYSTEM, "s" },
      { ROLE_USER, "one" },
      { ROLE_ASSISTANT, "two\n\nthree" },
      { ROLE_USER, "{\"four\": [5]}" } },
    { { ROLE_USER, "no question" }, { ROLE_ASSISTANT, "only an answer" } },
};

static llama_model *vocabulary(const char *name)
{
    auto path = std::string(LLAMA_SOURCE "/models/ggml-vocab-") + name + ".gguf";
    auto params = llama_model_default_params();
    params.vocab_only = true;
    llama_model *model = llama_model_load_from_file(path.c_str(), params);
    assert_non_null(model);
    return model;
}

static std::string contents_of(const std::filesystem::path &path)
{
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/* "" and no tokens if the template refuses. */
static std::vector<llama_token> theirs(const llama_model *model, const std::string &source,
                                       const conversation &talk, std::string &text)
{
    common_chat_templates_inputs inputs;
    for (const auto &m : talk) {
        common_chat_msg message;
        message.role = role_name(m.role);
        message.content = m.content;
        inputs.messages.push_back(message);
    }
    inputs.enable_thinking = false;
    try {
        auto templates = common_chat_templates_init(model, source);
        auto *vocab = llama_model_get_vocab(model);
        inputs.add_bos = llama_vocab_get_add_bos(vocab);
        inputs.add_eos = llama_vocab_get_add_eos(vocab);
        text = common_chat_templates_apply(templates.get(), inputs).prompt;
        return common_tokenize(vocab, text, true, true);
    } catch (const std::exception &) {
        return {};
    }
}

static std::vector<llama_token> ours(const llama_model *model, const std::string &source,
                                     const conversation &talk)
{
    std::vector<struct message> messages;
    for (const auto &m : talk)
        messages.push_back({ m.role, { m.content, strlen(m.content) } });
    struct chat *chat;
    if (chat_new(model, source.c_str(), &chat, NULL) != OK)
        return {};
    std::vector<llama_token> result;
    llama_token *tokens;
    size_t n;
    if (chat_prompt(chat, messages.data(), messages.size(), 1 << 20, SIZE_MAX, &tokens, &n, NULL) == OK) {
        result.assign(tokens, tokens + n);
        free(tokens);
    }
    chat_free(chat);
    return result;
}

/* Compare one template on all conversations; how many of them it takes. */
static size_t compare(const llama_model *model, const std::string &source, const char *name)
{
    size_t compared = 0;
    for (size_t i = 0; i < conversations.size(); i++) {
        std::string text;
        auto want = theirs(model, source, conversations[i], text);
        auto got = ours(model, source, conversations[i]);
        if (want != got)
            fail_msg("%s, conversation %zu: %zu tokens instead of %zu of:\n%s", name, i, got.size(),
                     want.size(), text.c_str());
        compared += !want.empty();
    }
    return compared;
}

static void every_template_gives_llama_cpps_tokens(void **)
{
    llama_model *model = vocabulary("llama-bpe");
    size_t compared = 0;
    for (const auto &file : std::filesystem::directory_iterator(LLAMA_SOURCE "/models/templates")) {
        if (file.path().extension() != ".jinja")
            continue;
        compared += compare(model, contents_of(file.path()), file.path().filename().c_str());
    }
    assert_true(compared > 200);
    llama_model_free(model);
}

/* Habits of `common` that the collection does not show. */
static void templates_that_want_parts_get_parts(void **)
{
    static const char *const sources[] = {
        "{% for m in messages %}{% for p in m.content %}{{ p.type }}:{{ p.text }}{% endfor %}{% "
        "endfor %}",
        "{% for m in messages %}{{ m.content[0]['text'] }}{% endfor %}",
        "{# [SYSTEM_PROMPT][TOOL_CALLS][ARGS] #}{% for m in messages %}{{ m.role }}"
        "{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for p in m.content %}-{{ p.text }}{% endfor %}{% endif %}{% endfor %}",
    };
    llama_model *model = vocabulary("llama-bpe");
    for (const char *source : sources)
        assert_true(compare(model, source, source) == conversations.size());
    llama_model_free(model);
}

/* After "<|user|>", this vocabulary swallows spaces. */
static void spaces_that_a_special_token_swallows_are_swallowed(void **)
{
    llama_model *model = vocabulary("phi-3");
    const char *source = "{% for m in messages %}<|user|> \n {{ m.content }}<|end|>\n{% endfor %}";
    assert_true(compare(model, source, "phi-3") == conversations.size());
    llama_model_free(model);
}

int main()
{
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    common_log_set_verbosity_thold(-1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_template_gives_llama_cpps_tokens),
        cmocka_unit_test(templates_that_want_parts_get_parts),
        cmocka_unit_test(spaces_that_a_special_token_swallows_are_swallowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
