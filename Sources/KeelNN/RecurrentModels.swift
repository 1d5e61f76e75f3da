import KeelBackend

extension Models {
  /// Long short-term memory that reads an image row by row, and Dense classes on its last state;
  /// its outputs are logits.
  public static func lstmClassifier(units: Int = 64, classes: Int = 10) -> Sequential {
    Sequential {
      RowsAsSteps()
      LSTM(units)
      Dense(classes)
    }
  }

  /// Conv 32 3x3 relu and max-pool 2x2, whose rows two layers of 32 LSTM units read, then Dense
  /// classes; its outputs are logits.
  public static func convolutionalLSTM(classes: Int = 10) -> Sequential {
    Sequential {
      Conv2D(32, kernel: 3, activation: .relu)
      MaxPool2D(2)
      RowsAsSteps()
      LSTM(32, returnsSequences: true)
      LSTM(32)
      Dense(classes)
    }
  }
}
