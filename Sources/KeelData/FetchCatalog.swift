/// The data sets that ``DataFetch`` knows, with their mirrors and SHA-256 sums.
public enum FetchableDataset: String, CaseIterable, Sendable {
  /// Handwritten digits (LeCun, Cortes, Burges, 1998).
  case mnist
  /// Articles of clothing (Xiao, Rasul, Vollgraf, 2017), in the form of MNIST.
  case fashionMNIST = "fashion-mnist"

  /// Addresses of folders that hold the files, in the order in which they are tried.
  public var mirrors: [String] {
    switch self {
    case .mnist:
      [
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
      ]
    case .fashionMNIST:
      [
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
      ]
    }
  }

  /// The files, small ones first, so that a bad mirror shows early.
  package var files: [FetchFile] {
    switch self {
    case .mnist:
      [
        FetchFile(
          "t10k-labels-idx1-ubyte.gz", 4542,
          "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        FetchFile(
          "train-labels-idx1-ubyte.gz", 28881,
          "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        FetchFile(
          "t10k-images-idx3-ubyte.gz", 1_648_877,
          "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        FetchFile(
          "train-images-idx3-ubyte.gz", 9_912_422,
          "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
      ]
    case .fashionMNIST:
      [
        FetchFile(
          "t10k-labels-idx1-ubyte.gz", 5148,
          "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        FetchFile(
          "train-labels-idx1-ubyte.gz", 29515,
          "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        FetchFile(
          "t10k-images-idx3-ubyte.gz", 4_422_102,
          "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        FetchFile(
          "train-images-idx3-ubyte.gz", 26_421_880,
          "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
      ]
    }
  }
}

/// A file whose content is known before it is downloaded.
package struct FetchFile: Sendable, Equatable {
  /// The name, under a mirror's address and in the target folder.
  package let name: String
  /// The count of bytes.
  package let size: Int
  /// The SHA-256 sum in lower-case hexadecimal.
  package let sha256: String

  /// A file of known name, size and sum.
  package init(_ name: String, _ size: Int, _ sha256: String) {
    self.name = name
    self.size = size
    self.sha256 = sha256
  }
}

/// How far a download is.
public struct FetchProgress: Sendable, Equatable {
  /// The file being downloaded.
  public let file: String
  /// Its number, from 0.
  public let fileIndex: Int
  /// The count of files.
  public let fileCount: Int
  /// The bytes that are here, those of an earlier attempt included.
  public let received: Int
  /// The bytes of the whole file.
  public let total: Int
}
