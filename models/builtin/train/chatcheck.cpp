/*
 * chatcheck.cpp - what llama.cpp's own chat code makes of the model's template.
 *
 *     chatcheck MODEL < cases > results
 *
 * A case is a JSON object {"messages", "tools", "reply"} ended by a NUL; the result
 * has the prompt that the template makes of the messages, and what the parser that
 * llama.cpp derives from the template finds in the reply, as {"prompt", "message"}.
 */
#include <cstdio>
#include <iostream>
#include <string>

#include <chat.h>
#include <json.h>
#include <llama.h>

static common_json examine(const common_chat_templates *templates, const common_json &given)
{
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(given.at("messages"));
    inputs.tools = common_chat_tools_parse_oaicompat(given.at("tools"));
    inputs.use_jinja = true;
    inputs.add_generation_prompt = true;
    common_chat_params params = common_chat_templates_apply(templates, inputs);

    common_chat_parser_params parser(params);
    parser.parser.load(params.parser);
    std::string reply = given.at("reply").get<std::string>();
    common_chat_msg message = common_chat_parse(reply, false, parser);

    common_json result = common_json::object();
    result["prompt"] = params.prompt;
    result["message"] = message.to_json_oaicompat();
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: chatcheck MODEL\n");
        return 1;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model *model = llama_model_load_from_file(argv[1], params);
    if (!model) {
        fprintf(stderr, "chatcheck: cannot load %s\n", argv[1]);
        return 1;
    }
    auto templates = common_chat_templates_init(model, "");
    std::string line;
    try {
        while (std::getline(std::cin, line, '\0'))
            std::cout << examine(templates.get(), common_json::parse(line)).dump() << '\0';
    } catch (const std::exception &e) {
        fprintf(stderr, "chatcheck: %s\n", e.what());
        return 1;
    }
    templates.reset();
    llama_model_free(model);
    return 0;
}
