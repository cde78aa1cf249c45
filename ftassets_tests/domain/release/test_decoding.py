import json

from ftassets.domain.release.decoding import decoding, first_request


def test_at_temperature_0_the_likeliest_token_is_taken_whatever_the_model_says():
    assert decoding(0.0, {"do_sample": True, "temperature": 0.6, "top_k": 20}) == {"do_sample": False}


def test_sampling_takes_top_k_and_top_p_of_the_model_and_no_penalty():
    own = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.1, "eos_token_id": 2}
    assert decoding(0.9, own) == {"do_sample": True, "temperature": 0.9, "top_k": 20, "top_p": 0.95}
    assert decoding(0.9, {"top_k": None}) == {"do_sample": True, "temperature": 0.9, "top_k": 0, "top_p": 1.0}


def test_the_first_request_has_the_decoding_of_all_others():
    body = first_request(0.9, {"top_k": 20})
    assert json.loads(body["generation_config"]) == decoding(0.9, {"top_k": 20})
    assert (body["temperature"], body["max_tokens"]) == (0.9, 1)
