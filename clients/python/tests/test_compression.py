import gzip
import json
import random
import unittest
import zlib

from neurograph_ws_client import AdaptiveCompressor, MessageCompressor, default_compressor
from neurograph_ws_client.compression import INFLATED_BYTES_MAX, decompress_bytes, encode_json

LONG = {"text": "x" * 5000}
READERS = {"gzip": gzip.decompress, "zlib": zlib.decompress, "deflate": lambda data: zlib.decompress(data, -15)}


class CompressionTest(unittest.TestCase):
    def test_each_algorithm_is_what_others_know_by_that_name(self):
        for algorithm, read in READERS.items():
            compressor = MessageCompressor(algorithm, level=1)
            data, compressed = compressor.compress_json(LONG)
            self.assertTrue(compressed)
            self.assertLess(len(data), 200)
            self.assertEqual(json.loads(read(data)), LONG)
            self.assertEqual(compressor.decompress_json(data), LONG)
            self.assertEqual(compressor.decompress(compressor.compress(b"abc")), b"abc")

    def test_short_and_dense_json_stays_plain_and_is_read_all_the_same(self):
        at = {"text": "x" * (1024 - len('{"text":""}'))}
        below = {"text": at["text"][1:]}
        for algorithm in ("gzip", "deflate"):
            compressor = MessageCompressor(algorithm)
            self.assertTrue(compressor.compress_json(at)[1])
            self.assertEqual(compressor.compress_json(below), (encode_json(below), False))
            self.assertEqual(compressor.decompress_json(encode_json(below)), below)
        self.assertEqual(MessageCompressor(threshold=0).compress_json(1), (b"1", False))
        none = MessageCompressor("none")
        self.assertEqual(none.compress_json(LONG), (encode_json(LONG), False))
        self.assertEqual(none.decompress_json(encode_json(LONG)), LONG)

    def test_damage_and_bombs_are_refused(self):
        bomb = gzip.compress(bytes(INFLATED_BYTES_MAX + 1))
        with self.assertRaisesRegex(ValueError, "More than 16777216 bytes"):
            decompress_bytes(bomb)
        self.assertEqual(len(decompress_bytes(gzip.compress(bytes(INFLATED_BYTES_MAX)))), INFLATED_BYTES_MAX)
        for damaged in (bomb[:50], b"\x01\x02\x03", b""):
            with self.assertRaises(ValueError):
                default_compressor.decompress_json(damaged)
        with self.assertRaisesRegex(ValueError, "Unsupported compression: lzma"):
            MessageCompressor("lzma")

    def test_the_adaptive_one_chooses_by_kind_and_size(self):
        compressor = AdaptiveCompressor()
        for kind, threshold, algorithm in (("text", 512, "gzip"), ("json", 1024, "zlib"), ("binary", 2048, "zlib")):
            data, used = compressor.compress(b"x" * threshold, kind)
            self.assertEqual((used, READERS[algorithm](data)), (algorithm, b"x" * threshold))
            short = b"x" * (threshold - 1)
            self.assertEqual(compressor.compress(short, kind), (short, "none"))
        dense = random.Random(1).randbytes(5000)
        self.assertEqual(compressor.compress(dense, "binary"), (dense, "none"))
        self.assertEqual(compressor.compress("я" * 256, "text")[1], "gzip")
        with self.assertRaises(ValueError):
            compressor.compress(b"", "sound")


if __name__ == "__main__":
    unittest.main()
