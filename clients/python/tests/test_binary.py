import json
import random
import unittest

from neurograph_ws_client import binary_handler
from neurograph_ws_client.binary import TYPES, pack

DATA = b"\xff"


def refusal_of(data):
    try:
        binary_handler.parse_message(data)
    except ValueError as error:
        return str(error)
    raise AssertionError("it was parsed")


class BinaryTest(unittest.TestCase):
    def test_the_layout_is_that_of_the_protocol(self):
        packed = bytes.fromhex("01 04 00 02 00 00 00 01 7B 7D FF")
        self.assertEqual(binary_handler.create_binary_data_message(DATA), packed)
        trailing = binary_handler.parse_message(packed + b"\x99\x99")
        self.assertEqual(trailing, {"type": "BINARY_DATA", "payload": DATA, "metadata": {}})

    def test_members_that_are_not_known_are_null_and_others_are_added(self):
        handler = binary_handler
        messages = [
            handler.create_image_message(DATA),
            handler.create_image_message(DATA, "png", 2, height=3, channel="signals"),
            handler.create_audio_message(DATA, sample_rate=48000, channels=2),
            handler.create_video_message(DATA, fps=25),
        ]
        found = [(one["type"], json.dumps(one["metadata"])) for one in map(handler.parse_message, messages)]
        self.assertEqual(
            found,
            [
                ("IMAGE", '{"format": "jpeg", "width": null, "height": null}'),
                ("IMAGE", '{"format": "png", "width": 2, "height": 3, "channel": "signals"}'),
                ("AUDIO", '{"format": "wav", "sample_rate": 48000, "channels": 2}'),
                ("VIDEO", '{"format": "mp4", "width": null, "height": null, "fps": 25}'),
            ],
        )

    def test_compressed_json_says_its_sizes_and_is_read_again(self):
        value = {"text": "привет " * 500}
        message = binary_handler.parse_message(binary_handler.create_compressed_json_message(value, channel="logs"))
        self.assertEqual(message["json_data"], value)
        self.assertEqual(
            message["metadata"],
            {
                "compression": "gzip",
                "original_size": len('{"text":"' + value["text"] + '"}') + 500 * 6,  # two bytes a letter
                "compressed_size": len(message["payload"]),
                "channel": "logs",
            },
        )
        self.assertLess(len(message["payload"]), 200)
        damaged = pack("COMPRESSED_JSON", message["metadata"], message["payload"][:-9])
        self.assertRegex(refusal_of(damaged), "^Invalid compressed JSON: ")
        strange = pack("COMPRESSED_JSON", {"compression": "lzma"}, message["payload"])
        self.assertRegex(refusal_of(strange), "Unsupported compression: lzma")

    def test_each_way_to_be_wrong_has_its_text(self):
        for packed, text in [
            ("", "^Binary message too short$"),
            ("01 04 00 02 00 00 00", "^Binary message too short$"),
            ("02 04 00 02 00 00 00 00 7B 7D", "^Unsupported binary message version: 2$"),
            ("01 00 00 02 00 00 00 00 7B 7D", "^Invalid binary message type: 0$"),
            ("01 06 00 02 00 00 00 00 7B 7D", "^Invalid binary message type: 6$"),
            ("01 04 00 02 00 00 00 00 7B", r"^Binary message truncated \(metadata\)$"),
            ("01 04 00 02 00 00 00 01 7B 7D", r"^Binary message truncated \(payload\)$"),
            ("01 04 00 02 00 00 00 00 7B 7B", "^Invalid metadata JSON: ."),
            ("01 04 00 00 00 00 00 00", "^Invalid metadata JSON: ."),
            ("01 04 00 04 00 00 00 00 22 FF FF 22", "^Invalid metadata JSON: ."),
            ("01 04 00 02 00 00 00 00 5B 5D", "^Invalid metadata JSON: expected an object$"),
        ]:
            self.assertRegex(refusal_of(bytes.fromhex(packed)), text)

    def test_metadata_of_65535_bytes_fits_and_one_more_does_not(self):
        text = "x" * (0xFFFF - len('{"a":""}'))
        packed = binary_handler.create_binary_data_message(DATA, a=text)
        self.assertEqual(binary_handler.parse_message(packed)["metadata"], {"a": text})
        with self.assertRaisesRegex(ValueError, "^Binary metadata too large: 65536 bytes$"):
            binary_handler.create_binary_data_message(DATA, a=text + "x")

    def test_what_was_packed_is_unpacked_and_no_bytes_make_the_parser_fail_otherwise(self):
        seed = random.randrange(2**32)
        source = random.Random(seed)
        for _ in range(2000):
            name = source.choice(["IMAGE", "AUDIO", "VIDEO", "BINARY_DATA"])
            self.assertIn(name, TYPES)
            payload = source.randbytes(source.randrange(50))
            packed = pack(name, {"a": source.random()}, payload)
            self.assertEqual(binary_handler.parse_message(packed)["payload"], payload)
            self.assertTrue(refusal_of(packed[: source.randrange(len(packed))]), f"seed {seed}")
            changed = bytearray(packed)
            changed[source.randrange(len(changed))] = source.randrange(256)
            try:
                binary_handler.parse_message(bytes(changed))
            except ValueError:
                pass


if __name__ == "__main__":
    unittest.main()
