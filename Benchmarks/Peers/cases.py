"""What every peer is timed on: the names and extents of the cases of `keel bench`."""

import json
import statistics
import time

# rows, inner, columns, left transposed, right transposed
MATMULS = {
    "nn_512x512x512": (512, 512, 512, False, False),
    "nn_1024x1024x1024": (1024, 1024, 1024, False, False),
    "nn_2048x2048x2048": (2048, 2048, 2048, False, False),
    "tn_1024x1024x1024": (1024, 1024, 1024, True, False),
    "nt_1024x1024x1024": (1024, 1024, 1024, False, True),
    "tt_1024x1024x1024": (1024, 1024, 1024, True, True),
    "nn_64x784x128": (64, 784, 128, False, False),
    "nn_128x5408x128": (128, 5408, 128, False, False),
}

# batch, side of the image, input channels, output channels, side of the filter, stride, padding
CONVOLUTIONS = {
    "64_64_56x56": (32, 56, 64, 64, 3, 1, 1),
    "1_32_28x28": (64, 28, 1, 32, 3, 1, 0),
    "128_128_28x28_stride2": (16, 28, 128, 128, 3, 2, 1),
    "256_64_28x28_kernel1x1": (16, 28, 256, 64, 1, 1, 0),
}

# rows, height, width, channels
BATCH_NORM = (32, 56, 56, 64)

# Parameters that are clipped and updated, and how many tensors hold them.
OPTIMIZERS = {"adam_clipped_11700000": (11_700_000, 62), "adam_clipped_25100000": (25_100_000, 160)}

DIGITS_BATCHES = (32, 128, 512)


class Report:
    """Times cases whose name contains a text, prints a line each, and writes them as JSON."""

    def __init__(self, peer, text, wait=lambda: None, seconds=1.0):
        self.peer, self.text, self.wait, self.seconds = peer, text, wait, seconds
        self.milliseconds, self.peak_megabytes = {}, {}

    def wants(self, name):
        return self.text in name

    def time(self, name, step, flops=None, examples=None):
        """Median wall time of `step` after a warm-up, each run waited for."""
        for _ in range(3):
            step()
        self.wait()
        times, start = [], time.perf_counter()
        while time.perf_counter() - start < self.seconds or len(times) < 5:
            begin = time.perf_counter()
            step()
            self.wait()
            times.append(time.perf_counter() - begin)
        self.add(name, 1e3 * statistics.median(times), flops, examples)

    def add(self, name, milliseconds, flops=None, examples=None):
        self.milliseconds[name] = milliseconds
        rate = ""
        if flops:
            rate = f"{flops / milliseconds / 1e6:9.1f} GFLOP/s"
        elif examples:
            rate = f"{1e3 * examples / milliseconds:9.0f} images/s"
        print(f"{name:58} {milliseconds:9.3f} ms {rate}", flush=True)

    def peak(self, name, count):
        """Notes the most bytes that a step's tensors took at a time."""
        self.peak_megabytes[name] = count / 1e6
        print(f"{'':58} {count / 1e6:9.1f} MB at the peak", flush=True)

    def write(self, path):
        if path:
            contents = {"peer": self.peer, "milliseconds": self.milliseconds,
                        "peakMegabytes": self.peak_megabytes}
            with open(path, "w") as file:
                json.dump(contents, file, indent=2)
                file.write("\n")
