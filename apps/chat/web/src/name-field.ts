const MOST_BYTES = 128;
const encoder = new TextEncoder();

/** A form of one field that takes a name: of a person or of a room. */
export class NameField {
  constructor(
    form: HTMLFormElement,
    private readonly input: HTMLInputElement,
    accept: (name: string) => void,
  ) {
    form.addEventListener('submit', event => {
      event.preventDefault();
      const name = this.read();
      if (name !== null) accept(name);
    });
    // A complaint is about what was there before; typing answers it.
    input.addEventListener('input', () => input.setCustomValidity(''));
  }

  get draft(): string {
    return this.input.value.trim();
  }

  clear(): void {
    this.input.value = '';
  }

  /**
   * A name the server will take, or null with the field told why not. The limit counts bytes, which the
   * field's own maxlength cannot: one emoji may be twenty-five of them.
   */
  private read(): string | null {
    const name = this.draft;
    const bytes = encoder.encode(name).length;
    let problem = '';
    if (bytes === 0) problem = 'Type a name first.';
    else if (bytes > MOST_BYTES) problem = `That is too long by ${bytes - MOST_BYTES} bytes.`;
    this.input.setCustomValidity(problem);
    if (problem === '') return name;
    this.input.reportValidity();
    return null;
  }
}
